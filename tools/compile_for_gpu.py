"""Compiles the stages for a GPU (or TPU) that need not be present, and reports what results.

    python -m tools.compile_for_gpu --small                       # a minute or two
    python -m tools.compile_for_gpu --target h200 --dtype bfloat16 --stages decode flow vocoder
    python -m tools.compile_for_gpu --stages attend_fused attend_filled --target rtx4090
    python -m tools.compile_for_gpu --recipes gpt_lora flow_lora --target rtx4090

Nothing is run and no weights are made: only shapes go to XLA's compiler for GPUs, with a device
description from `tools/gpu/targets` (h200, h100, a100, rtx4090, or the path of a
`GpuTargetConfigProto` as text). It answers: does every stage compile; how many kernels does a step
have; what is copied in loops; how much memory; does float32 stay float32. It measures no time: its
seconds are estimates from bytes and operations over a device's figures, plus a cost per launch.

It needs JAX's plugin for CUDA (which brings ptxas) but no GPU; about 5 GB, best in an environment
of its own, since JAX looks for a GPU wherever the plugin is installed:

    python3.12 -m venv gpu-compile
    gpu-compile/bin/pip install "jax[cuda12]==0.10.2" "flax==0.12.8" -e .

For a TPU (`--target v5e`, `v5p`, `v6e`) it needs `libtpu` instead. Its programs have other kernels:
counts and estimates say less there, and no launches are known.

Pin both: with jax 0.10, flax must be older than 0.12.12, and JAX refuses a plugin that is older
than its jaxlib. At the published sizes, on two busy cores, compiling takes a minute or two for the
flow, three for the decoding loop, two to five for the vocoder. With `--small` the GPT has two
layers, the segment 128 codes, the flow three layers, and the vocoder is tiny: widths, and so the
kinds of kernels, stay. A step of n layers has a + n b kernels; `--gpt_layers` gives other n.

For each stage it prints: seconds to compile; bytes of arguments, results (and how many of them
reuse a donated argument) and scratch; custom calls; the number of `.tf32` in the machine code (PTX)
and of tensor core instructions; what passes through the host. Then, outside of loops and for one
iteration of each loop: kernels, matrix products, copies, conditionals; operations and bytes (of an
array that is sliced or updated in place, only the slice); launches, and how many of them are in
command buffers (CUDA graphs); the lower bound of the time by bandwidth and arithmetic, without and
with launches; the kernels that move most. A copy of a cache is not always an op named `copy`: look
for `input_transpose_fusion` and `input_concatenate_fusion` with megabytes in an iteration.

With `--recipes` it compiles training steps instead of stages, one for each bucket (of the recipe,
or `--buckets`), with the recipe's own batch, on clips that fill their bucket; `--set
batch.pieces=2` changes a recipe. The question then is memory: arguments, results and scratch
together are what a step holds at once, printed beside the device's memory, of which JAX takes three
quarters unless `XLA_PYTHON_CLIENT_MEM_FRACTION` is set.

It cannot predict which kernel autotuning would choose for a matrix product (`--triton on` makes
every product a Triton fusion, `off` leaves it to cuBLAS: the truth is between), nor cuDNN's scratch
memory, nor whether results are right.

With `--small` for an h200 the stages are compared with `tools/gpu/limits.json`: kernels of a step,
megabytes that it moves in transposes and concatenations, scratch memory, convolutions in float32,
calls of the host. `--record_limits` writes the limits instead, of what is found. Exit code: 1 if a
stage fails to compile or exceeds a limit.
"""

import argparse
import dataclasses
import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import record
from tools.gpu import limits
from tools.gpu.tpus import TPUS

STAGES = (
    *("semantic_encoder", "speaker_latents", "emotion_vector", "quantize", "style_encoder"),
    *("decode", "slots8", "slots32", "insert1", "latents", "vq2emb", "project", "regulate"),
    *("flow", "vocoder"),
)
SMALL = ("decode", "slots8", "latents", "flow", "vocoder")
KERNELS = ("attend_fused", "attend_filled")  # the Pallas kernels alone: seconds to compile
SMALL_CODES = 128


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.compile_for_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--target",
        default="h200",
        help="h200, h100, a100, rtx4090, v5e, v5p, v6e, or a textproto's path",
    )
    add("--stages", nargs="+", choices=STAGES + KERNELS, help="(by default all but the kernels)")
    add(
        "--recipes",
        nargs="+",
        metavar="NAME",
        help="compile training steps of these instead of stages",
    )
    add("--buckets", nargs="+", type=float, help="seconds of the rows of a batch (the recipe's)")
    add("--set", nargs="+", default=[], metavar="PATH=VALUE", help="changes of the recipes")
    add("--small", action="store_true", help="few layers and codes, for a check in a minute or two")
    add("--record_limits", action="store_true", help="with --small: write the limits")
    add("--dtype", default="float32", help="float32, bfloat16, float16 or int8")
    add("--config", default="indextts2", help="indextts2 or tiny")
    add(
        "--fused_attention",
        action=argparse.BooleanOptionalAction,
        help="of decoding and flow (by default of the flow alone)",
    )
    add("--beams", type=int, default=3)
    add("--text", type=int, default=25, help="text tokens (25)")
    add("--codes", type=int, help="of the segment, 50 are a second (500; 128 with --small)")
    add("--prompt", type=float, default=15.0, help="seconds (15)")
    add("--steps", type=int, default=25, help="of the flow (25)")
    add("--window", type=int, help="codes that a slot can hold (256; 128 with --small)")
    add("--gpt_layers", type=int, help="fewer layers of the GPT")
    add("--triton", choices=("on", "off"), default="off", help="products as Triton fusions (off)")
    add("--flags", default="", help="more XLA_FLAGS")
    add("--dump", type=Path, metavar="DIR", help="keep the optimised HLO and the launches there")
    add("--json", type=Path, metavar="FILE", help="write what was found there")
    add("--top", type=int, default=6, help="kernels of a loop to show, by bytes (6)")
    args = parser.parse_args(argv)
    args.stages = args.stages or list(SMALL if args.small else STAGES)
    args.codes = args.codes or (SMALL_CODES if args.small else 500)
    args.window = args.window or (SMALL_CODES if args.small else 256)
    return args


def prepare_environment(args: argparse.Namespace, dump: Path) -> None:
    """Settings that JAX reads as it is imported."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # nothing looks for a GPU
    flags = [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_gpu_autotune_level=0",  # timing forms against each other takes a device
        f"--xla_gpu_enable_triton_gemm={'true' if args.triton == 'on' else 'false'}",
        f"--xla_dump_to={dump}",
        "--xla_dump_hlo_as_text",
        "--xla_dump_hlo_module_re=.*run.*",  # what `compiled` calls its programs
        args.flags,
    ]
    os.environ["XLA_FLAGS"] = " ".join(filter(None, flags))


def lacking(target: str = "h200") -> str | None:
    """Why nothing can be compiled for a target here, or none if it can."""
    found = record.versions(("jax", "jaxlib", "libtpu", *record.PLUGINS))
    if target in TPUS:
        return None if found.get("libtpu") else "no libtpu is installed: pip install libtpu"
    plugins = {name: version for name, version in found.items() if name.endswith("-plugin")}
    if not plugins:
        return 'no CUDA plugin is installed: install "jax[cuda12]" or "jax[cuda13]"'
    jaxlib = metadata.version("jaxlib")
    if jaxlib not in plugins.values():
        installed = ", ".join(f"{name} {version}" for name, version in plugins.items())
        return f"a plugin must have jaxlib's version ({jaxlib}), installed is {installed}"
    return None


def compile_all(args: argparse.Namespace, dump: Path) -> dict[str, Any]:
    """Compiles the stages in turn, and prints each as it is done.

    Raises:
        FileNotFoundError: for an unknown target.
        InputError: for an unknown configuration, or one that fused attention cannot serve.
    """
    # Not at the top: JAX must find its environment prepared.
    from tools.gpu import counting
    from tools.gpu.devices import target_device
    from tools.gpu.lowering import Lowering, Shapes

    names = [field.name for field in dataclasses.fields(Shapes)]
    shapes = Shapes(**{name: getattr(args, name) for name in names})
    lowering = Lowering(shapes, target_device(args.target))
    found: dict[str, Any] = {
        **record.head("compile_for_gpu", f"{args.target}: compiled for, not run"),
        "target": args.target,
        "triton": args.triton,
        "flags": args.flags,
        "shapes": dataclasses.asdict(shapes),
        "parameter_bytes": lowering.parameter_bytes,
        "slot_bytes": lowering.slot_bytes,
        "stages": {},
    }
    tag = f"{args.target}_{args.dtype}" + ("_fused" if args.fused_attention else "")
    for stage in args.stages:
        one, module = counting.compiled_stage(lambda stage=stage: lowering.stage(stage), dump)
        if module is not None and stage in KERNELS:
            one["assembled"] = counting.assembled(dump, args.target)
        print(
            counting.format_stage(f"{stage} ({tag})", one, module, dump, args.target, args.top),
            flush=True,
        )
        if args.dump and module is not None:
            args.dump.mkdir(parents=True, exist_ok=True)
            (args.dump / f"{stage}_{tag}.hlo.txt").write_text(module.text, encoding="utf-8")
            for path in counting.thunk_dumps(dump)[-1:]:
                shutil.copy(path, args.dump / f"{stage}_{tag}.thunks.txt")
        if module is not None:
            one["bodies"] = counting.bodies(module, dump, args.target)
        found["stages"][stage] = one
        if args.json:
            record.write(args.json, found)
    return found


def compile_recipes(args: argparse.Namespace, dump: Path) -> dict[str, Any]:
    """Compiles a step of each recipe and bucket in turn, and prints each as it is done.

    Raises:
        FileNotFoundError: for an unknown target.
        InputError: for an unknown recipe, or an unknown key of one.
    """
    # Not at the top: JAX must find its environment prepared.
    from indextts_jax.config import bundled_config
    from tools.gpu import counting, devices, training

    device, capacity = devices.target_device(args.target), devices.device_memory(args.target)
    pairs = (word.partition("=") for word in args.set)
    changes = {key: value for key, _, value in pairs}
    config = bundled_config(args.config)
    found: dict[str, Any] = {
        **record.head("compile_for_gpu", f"{args.target}: compiled for, not run"),
        "target": args.target,
        "flags": args.flags,
        "config": args.config,
        "changes": changes,
        "device_memory": capacity,
        "steps": {},
    }
    for name in args.recipes:
        step = training.Step.of(name, config, changes)
        for bucket in args.buckets or step.buckets:
            one, module = counting.compiled_stage(
                lambda step=step, bucket=bucket: step.lower(bucket, device), dump
            )
            one |= {"rows": step.rows(bucket), "pieces": step.recipe.batch.pieces}
            title = f"{name}, {one['rows']} rows of {bucket:g} s ({args.target})"
            print(counting.format_memory(title, one, capacity), flush=True)
            if args.dump and module is not None:
                args.dump.mkdir(parents=True, exist_ok=True)
                path = args.dump / f"{name}_{bucket:g}_{args.target}.hlo.txt"
                path.write_text(module.text, encoding="utf-8")
            found["steps"][f"{name} {bucket:g}"] = one
            if args.json:
                record.write(args.json, found)
    return found


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 1 if a stage fails, 2 for bad input."""
    args = arguments(argv)
    if (why := lacking(args.target)) is not None:
        print(f"error: {why}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gpu_dump_") as folder:
        prepare_environment(args, Path(folder))
        try:
            found = (compile_recipes if args.recipes else compile_all)(args, Path(folder))
        except (FileNotFoundError, ValueError) as error:  # InputError is a ValueError
            print(f"error: {error}", file=sys.stderr)
            return 2
    made = found["steps"] if args.recipes else found["stages"]
    wrong = [] if args.recipes else beyond_limits(args, found)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return int(bool(wrong) or any("error" in one for one in made.values()))


def beyond_limits(args: argparse.Namespace, found: dict[str, Any]) -> list[str]:
    """What exceeds its limit at the small shapes, in words; nothing at others."""
    usual = arguments(["--small", "--dtype", args.dtype])
    same = ("small", "config", "beams", "text", "codes", "prompt", "steps", "window", "gpt_layers")
    if args.target != limits.TARGET or args.triton != usual.triton or args.flags:
        return []
    if any(getattr(args, name) != getattr(usual, name) for name in same):
        return []
    stages = {name: one for name, one in found["stages"].items() if name in SMALL}
    if args.record_limits:
        limits.record({**found, "stages": stages})
    return limits.exceeded({**found, "stages": stages})


if __name__ == "__main__":
    sys.exit(main())
