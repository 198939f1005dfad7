"""Compiling for a GPU that is not there: the reading of HLO, and a stage where there are wheels."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from indextts_jax.config import bundled_config
from tools import compile_for_gpu
from tools.gpu import counting, devices, hlo_report, limits, lowering, thunks, training

ROOT = Path(__file__).parents[2]
HLO = """\
HloModule jit_run, is_scheduled=true, input_output_alias={ {0}: (0, {}, may-alias) }

%fused (p0: f32[4,8], p1: f32[8]) -> f32[4,8] {
  %p0 = f32[4,8]{1,0} parameter(0)
  %p1 = f32[8]{0} parameter(1)
  %wide = f32[4,8]{1,0} broadcast(%p1), dimensions={1}
  ROOT %sum = f32[4,8]{1,0} add(%p0, %wide)
}

%update (p0: f32[4,8], p1: f32[1,8], p2: s32[]) -> f32[4,8] {
  %p0 = f32[4,8]{1,0} parameter(0)
  %p1 = f32[1,8]{1,0} parameter(1)
  %p2 = s32[] parameter(2)
  %zero = s32[] constant(0)
  ROOT %put = f32[4,8]{1,0} dynamic-update-slice(%p0, %p1, %p2, %zero)
}

%condition (state: (s32[], f32[4,8], f32[8])) -> pred[] {
  %state = (s32[], f32[4,8]{1,0}, f32[8]{0}) parameter(0)
  %n = s32[] get-tuple-element(%state), index=0
  %last = s32[] constant(5)
  ROOT %less = pred[] compare(%n, %last), direction=LT
}

%body (state: (s32[], f32[4,8], f32[8])) -> (s32[], f32[4,8], f32[8]) {
  %state = (s32[], f32[4,8]{1,0}, f32[8]{0}) parameter(0)
  %n = s32[] get-tuple-element(%state), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%state), index=1
  %bias = f32[8]{0} get-tuple-element(%state), index=2
  %w = f32[8,8]{1,0} constant({...})
  %dot = f32[4,8]{1,0} custom-call(%x, %w), custom_call_target="__cublas$gemm", \
backend_config={"lhs_contracting_dimensions":["1"],"operand_precision":["HIGHEST","HIGHEST"]}
  %loop_add_fusion = f32[4,8]{1,0} fusion(%dot, %bias), kind=kLoop, calls=%fused
  %row = f32[1,8]{1,0} slice(%loop_add_fusion), slice={[0:1], [0:8]}
  %put = f32[4,8]{1,0} fusion(%loop_add_fusion, %row, %n), kind=kLoop, calls=%update
  ROOT %out = (s32[], f32[4,8]{1,0}, f32[8]{0}) tuple(%n, %put, %bias)
}

ENTRY %main (a: f32[4,8], b: f32[8]) -> f32[4,8] {
  %a = f32[4,8]{1,0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %start = s32[] constant(0)
  %copy.1 = f32[4,8]{1,0} copy(%a)
  %state = (s32[], f32[4,8]{1,0}, f32[8]{0}) tuple(%start, %copy.1, %b)
  %loop = (s32[], f32[4,8]{1,0}, f32[8]{0}) while(%state), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
  ROOT %done = f32[4,8]{1,0} get-tuple-element(%loop), index=1
}
"""

THUNKS = """\
000: kCopy
001: kWhile
condition:
  000: kKernel
body:
  000: kCommandBuffer
    000: kGemm
    001: kKernel
  001: kConvolution
002: kKernel
"""


def test_loop_body_kernels_and_bytes() -> None:
    outside, turn = hlo_report.Module(HLO).bodies()
    assert [kernel.name for kernel in outside.kernels] == ["copy.1"]
    assert (turn.trips, turn.depth, len(turn.condition)) == (5, 1, 1)
    kernels = {kernel.name: kernel for kernel in turn.kernels}
    assert kernels["dot"].flops == 2 * 4 * 8 * 8
    assert kernels["dot"].exact
    assert kernels["dot"].kinds == {"f32"}
    assert kernels["loop_add_fusion"].bytes == 4 * (32 + 8 + 32)
    assert kernels["put"].written == 4 * 8  # a row in place, not the whole array


def test_module_donations_and_custom_calls() -> None:
    module = hlo_report.Module(HLO)
    assert module.aliased == 1
    assert module.targets == {"__cublas$gemm": 1}
    assert module.host_calls == []


def test_float32_product_without_highest_precision_is_inexact() -> None:
    (_, turn) = hlo_report.Module(HLO.replace("HIGHEST", "DEFAULT")).bodies()
    assert not next(kernel for kernel in turn.kernels if kernel.name == "dot").exact


def test_launches_in_command_buffers_are_counted_separately() -> None:
    program, loop = thunks.launches(THUNKS)
    assert (sum(program.kinds.values()), program.graphs) == (2, [])
    assert (sum(loop.kinds.values()), loop.graphs, loop.condition) == (3, [2], 1)
    assert loop.alone == 1


def test_loop_in_a_graph_is_whole() -> None:
    """So its condition is not the host's."""
    inside = THUNKS.replace("condition:", "  condition:").replace("body:", "  body:")
    text = "000: kCommandBuffer\n" + "".join(f"  {line}\n" for line in inside.splitlines())

    assert [loop.whole for loop in thunks.launches(text)] == [False, True]
    assert [loop.whole for loop in thunks.launches(THUNKS)] == [False, False]


PALLAS = """\
ENTRY %main (a: bf16[3,3,20,64], b: bf16[1,20,80,64]) -> bf16[1,20,80,64] {
  %t = bf16[3,3,20,64]{3,2,1,0} parameter(0)
  %k = bf16[1,20,80,64]{3,2,1,0} parameter(1)
  %n = s32[1]{0} constant({8})
  %m = s8[1,3,48]{2,1,0} constant({...})
  %call = (f32[1,20,16,3,64]{4,3,2,1,0}, bf16[1,20,80,64]{3,2,1,0}) custom-call(%t, %k, %k, %n, \
%n, %m), custom_call_target="__gpu$xla.gpu.triton", \
output_to_operand_aliasing={{1}: (1, {})}, metadata={op_name="jit(run)/attend_filled"}
  ROOT %out = bf16[1,20,80,64]{3,2,1,0} get-tuple-element(%call), index=1
}
"""


def test_pallas_kernel_updates_its_cache_in_place() -> None:
    ((kernel,),) = (body.kernels for body in hlo_report.Module(PALLAS).bodies())
    assert kernel.written == 4 * 20 * 16 * 3 * 64
    assert kernel.flops == 4 * 20 * 80 * 64 * 3


def small(**changes: Any) -> dict[str, Any]:
    """A result of the small shapes with one stage of one loop, and limits that it just keeps."""
    body = {"loop": "body", "kernels": 10, "moved": 1e6, "waits_for_host": False} | changes
    shapes = {"dtype": "bfloat16", "fused_attention": None}
    one = {"bodies": [body], "bytes": {"temp": 1e6}, "float32_convolutions": 0, "host_calls": []}
    return {"shapes": shapes, "stages": {"decode": one}}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"kernels": 11}, ["decode bfloat16 default: kernels 11, limit 10"]),
        ({"moved": 3e6}, ["decode bfloat16 default: moved_mb 3, limit 1"]),
        ({"waits_for_host": True}, ["decode bfloat16 default: host_calls 1, limit 0"]),
    ],
)
def test_stage_beyond_a_limit_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, Any], wrong: list[str]
) -> None:
    monkeypatch.setattr(limits, "LIMITS", tmp_path / "limits.json")
    monkeypatch.setattr(limits, "ROOM", 1)
    limits.record(small())
    assert limits.exceeded(small(**changes)) == wrong


def test_every_small_stage_has_limits() -> None:
    recorded = json.loads(limits.LIMITS.read_text("utf-8"))
    for dtype, form in (("float32", None), ("bfloat16", None), ("bfloat16", True)):
        shapes = {"dtype": dtype, "fused_attention": form}
        assert {limits.case(shapes, stage) for stage in compile_for_gpu.SMALL} <= set(recorded)


def test_every_stage_can_be_lowered() -> None:
    assert set(compile_for_gpu.STAGES + compile_for_gpu.KERNELS) == set(lowering.STAGES)


def test_unknown_target_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="rtx4090, v5e, v5p, v6e or a textproto's path"):
        devices.target_device("h900")


def test_missing_wheels_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = {"jax": "0.10.2", "jaxlib": "0.12.0", "jax-cuda12-plugin": "0.10.2"}
    monkeypatch.setattr(compile_for_gpu.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(compile_for_gpu.record, "versions", lambda names: versions)
    assert compile_for_gpu.main([]) == 2
    assert "jaxlib's version (0.12.0), installed is jax-cuda12-plugin 0.10.2" in (
        capsys.readouterr().err
    )
    monkeypatch.setattr(compile_for_gpu.record, "versions", lambda names: {})
    assert compile_for_gpu.main([]) == 2
    assert 'install "jax[cuda12]"' in capsys.readouterr().err


@pytest.mark.skipif(
    compile_for_gpu.lacking() is not None,
    reason=f"compiling for GPUs needs the CUDA wheels: {compile_for_gpu.lacking()}",
)
def test_stage_compiles(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    flags = ["--small", "--stages", "vq2emb", "attend_filled", "--json", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "tools.compile_for_gpu", *flags],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert found["kind"] == "compile_for_gpu"
    embedding, kernel = found["stages"].values()
    assert embedding["bodies"][0]["kernels"] >= 1
    assert embedding["inexact_float32"] == []
    assert kernel["tf32"] == 0
    assert any("registers" in line for line in kernel["assembled"])


def test_recipe_step_lowers_from_shapes() -> None:
    config = bundled_config("tiny")
    step = training.Step.of("gpt_lora", config, {"batch.seconds": "40"})
    assert step.rows(step.buckets[-1]) == 2
    lowered = step.lower(step.buckets[-1], jax.devices("cpu")[0])
    state, frozen, batch = lowered.args_info[0]
    assert batch["codes"].shape == (1, 2, config.gpt.max_codes)
    assert all(leaf.donated for leaf in jax.tree.leaves(state))
    assert not any(leaf.donated for leaf in jax.tree.leaves((frozen, batch)))


def test_step_memory_is_compared_with_device() -> None:
    capacity = devices.device_memory("rtx4090")
    sizes = {"argument": 10 * 10**9, "temp": 2 * 10**9, "output": 8 * 10**9, "alias": 8 * 10**9}
    assert counting.held(sizes) == 12 * 10**9
    text = counting.format_memory("gpt_lora", {"bytes": sizes, "seconds": 1.0}, capacity)
    assert "12.00 GB together, 47% of the device's 25.39 GB" in text
