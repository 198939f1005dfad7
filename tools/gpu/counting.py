"""Compiles a lowered stage, counts what the program does, and estimates its time on a device."""

import os
import re
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from tools.gpu.hlo_report import Body, Kernel, Module
from tools.gpu.thunks import Launches, launches

# What a device reaches: bytes a second; dense operations a second in half precision, in exact
# float32, in TF32.
PEAKS = {
    "h200": (4.3e12, 790e12, 55e12, 390e12),
    "h100": (3.0e12, 700e12, 55e12, 350e12),
    "a100": (1.8e12, 280e12, 17e12, 140e12),
    "rtx4090": (0.92e12, 150e12, 60e12, 75e12),
    # TPUs multiply float32 in six passes of bfloat16, and have no TF32.
    "v5e": (0.7e12, 180e12, 30e12, 30e12),
    "v5p": (2.4e12, 420e12, 70e12, 70e12),
    "v6e": (1.4e12, 830e12, 138e12, 138e12),
}
# Seconds, estimated: a launch; one in a CUDA graph; the host's check whether a loop continues.
LAUNCH, IN_GRAPH, STOP = 2.5e-6, 1.3e-6, 12e-6
MEGABYTE = 1e6
CAPABILITIES = {"a100": "sm_80", "rtx4090": "sm_89"}  # of ptxas; the others are sm_90a


def thunk_dumps(dump: Path) -> list[Path]:
    """XLA's dumps of what it launches."""
    return sorted(dump.glob("*thunk_sequence_after_thunk_passes.txt"))


def compiled_stage(
    lower: Callable[[], jax.stages.Lowered], dump: Path
) -> tuple[dict[str, Any], Module | None]:
    """Figures of a whole stage and its program, or the error that the compiler raised."""
    for old in dump.glob("*"):
        # The TPU's compiler makes directories.
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    start = time.perf_counter()
    try:
        lowered = lower()
        lowering = time.perf_counter() - start
        made = lowered.compile()
    except Exception as error:  # the error is the result
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {str(error)[:2000]}"}, None
    seconds = time.perf_counter() - start
    memory = made.memory_analysis()
    module = Module(made.as_text())
    ptx = "".join(path.read_text() for path in dump.glob("*.ptx"))
    sizes = ("argument", "output", "alias", "temp", "generated_code")
    kernels = [kernel for body in module.bodies() for kernel in body.kernels]
    return {
        "lowering_seconds": round(lowering, 1),
        "seconds": round(seconds, 1),
        "bytes": {name: getattr(memory, f"{name}_size_in_bytes") for name in sizes},
        "custom_calls": dict(module.targets),
        "aliased": module.aliased,
        "host_calls": module.host_calls,
        "tf32": len(re.findall(r"\.tf32", ptx)),
        "tensor_core_instructions": len(re.findall(r"(?:wgmma\.mma_async|mma\.sync)\S*", ptx)),
        "float32_convolutions": sum(
            (k.target or "").startswith("__cudnn$conv") and k.kinds == {"f32"} for k in kernels
        ),
        # Float32 products without `operand_precision=highest`: they may be rounded.
        "inexact_float32": sorted({k.name for k in kernels if k.kinds == {"f32"} and not k.exact}),
    }, module


def assembled(dump: Path, target: str) -> list[str]:
    """Registers and spills of a Pallas kernel, by ptxas, and its shared memory."""
    import nvidia.cuda_nvcc

    (root,) = nvidia.cuda_nvcc.__path__
    found: list[str] = []
    for path in dump.glob("*.ptx"):
        if ".entry attend_" in path.read_text():
            capability = CAPABILITIES.get(target, "sm_90a")
            command = [f"{root}/bin/ptxas", "-v", "--gpu-name", capability, path, "-o", os.devnull]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = [line.split(":", 1)[-1].strip() for line in done.stderr.splitlines()]
            found += [line for line in lines if "registers" in line or "spill" in line]
    for path in dump.glob("*thunk_sequence*.txt"):
        found += re.findall(r"attend_\w+ grid.*", path.read_text())
    return list(dict.fromkeys(found))


def bodies(module: Module, dump: Path, target: str) -> list[dict[str, Any]]:
    """Figures of the code outside of loops, then of one iteration of each loop."""
    return [_figures(body, run, target) for body, run in _with_launches(module, dump)]


def _with_launches(module: Module, dump: Path) -> list[tuple[Body, Launches | None]]:
    dumps = thunk_dumps(dump)
    runs = launches(dumps[-1].read_text()) if dumps else []
    loops = iter(runs[1:])
    return [
        (body, runs[0] if body.depth == 0 and runs else next(loops, None))
        for body in module.bodies()
    ]


def _figures(body: Body, run: Launches | None, target: str) -> dict[str, Any]:
    bandwidth, half, exact, tf32 = PEAKS.get(target, PEAKS["h200"])

    def work(kernel: Kernel) -> float:
        if "f32" in kernel.kinds:
            speed = exact if kernel.exact else tf32
        else:
            speed = half if kernel.kinds else exact
        return max(kernel.bytes / bandwidth, kernel.flops / speed)

    loop = body.depth > 0
    least = IN_GRAPH if run is not None and run.graphs else LAUNCH
    spent = sum(max(least, work(kernel)) for kernel in body.kernels)
    waits = loop and body.trips is None and not (run is not None and run.whole)
    if waits:
        spent += STOP + LAUNCH * len(body.condition)
    copies = [k for k in body.kernels if k.opcode in ("copy", "copy-start")]
    return {
        "loop": body.name if loop else None,
        "trips": body.trips,
        "kernels": len(body.kernels),
        "products": sum(bool(k.flops) for k in body.kernels),
        "condition": len(body.condition),
        "conditionals": body.branches,
        "waits_for_host": waits,
        "launches": sum(run.kinds.values()) if run else None,
        "in_graphs": sum(run.graphs) if run else None,
        "graphs": len(run.graphs) if run else None,
        "flops": body.total("flops"),
        "bytes": body.total("bytes"),
        "copies": len(copies),
        "copied": sum(k.bytes for k in copies),
        "transposed_or_concatenated": sum(map(float, _moved_as_fusions(body))),
        "moved": sum(size for size in _moved_as_fusions(body) if size >= MEGABYTE),
        "floor": sum(map(work, body.kernels)),
        "seconds": spent,
    }


def _moved_as_fusions(body: Body) -> list[float]:
    """Bytes of fusions that XLA names after a transpose or a concatenation: hidden copies."""
    names = ("transpose_fusion", "concatenate_fusion")
    return [k.bytes for k in body.kernels if any(name in k.name for name in names)]


def format_stage(
    title: str, one: dict[str, Any], module: Module | None, dump: Path, target: str, top: int
) -> str:
    """A stage as lines of text; `top` kernels of each loop, by bytes."""
    if module is None:
        return f"\n== {title}: FAILS: {one['error']}"
    sizes = {name: _bytes(count) for name, count in one["bytes"].items()}
    lines = [
        f"\n== {title}: {one['seconds']} s to compile",
        f"   arguments {sizes['argument']}, results {sizes['output']} of which {sizes['alias']} in "
        f"place of arguments, scratch {sizes['temp']}",
        f"   {one['custom_calls']}; tf32 {one['tf32']}, tensor core instructions "
        f"{one['tensor_core_instructions']}, through the host: {one['host_calls'] or 'nothing'}",
        *(f"   {line}" for line in one.get("assembled", [])),
    ]
    for body, run in _with_launches(module, dump):
        lines += _body_lines(body, _figures(body, run, target), top)
    if one["inexact_float32"]:
        lines.append(f"   float32 products that may be rounded: {one['inexact_float32'][:5]}")
    return "\n".join(lines)


def format_memory(title: str, one: dict[str, Any], capacity: int) -> str:
    """The memory that a program holds at once, beside that of the device, as lines of text."""
    if "error" in one:
        return f"\n== {title}: FAILS: {one['error']}"
    sizes = one["bytes"]
    total = held(sizes)
    return (
        f"\n== {title}: {one['seconds']} s to compile\n   arguments {_bytes(sizes['argument'])}, "
        f"scratch {_bytes(sizes['temp'])}, results that reuse no argument "
        f"{_bytes(sizes['output'] - sizes['alias'])}: {_bytes(total)} together, "
        f"{total / capacity:.0%} of the device's {_bytes(capacity)}"
    )


def held(sizes: Mapping[str, int]) -> int:
    """Bytes that a program holds at once."""
    return sizes["argument"] + sizes["temp"] + sizes["output"] - sizes["alias"]


def _body_lines(body: Body, one: dict[str, Any], top: int) -> list[str]:
    iteration = f"one iteration of {one['loop']} (of {one['trips'] or 'an open number'})"
    launched = ""  # XLA dumps no sequence of a program with hardly a launch
    if one["launches"] is not None:
        graphs = f"{one['in_graphs']} in {one['graphs']} graphs"
        launched = f"; launched {one['launches']}, of which {graphs}"
    lines = [
        f"   {'outside of loops' if one['loop'] is None else iteration}: {one['kernels']} kernels "
        f"({one['products']} products, {one['copies']} copies of {_bytes(one['copied'])}, "
        f"{_bytes(one['transposed_or_concatenated'])} in transposes and concatenations, "
        f"{one['conditionals']} conditionals, {one['condition']} in the condition"
        f"{', for which it waits for the host' * one['waits_for_host']}); "
        f"{one['flops'] / 1e9:.2f} GFLOP, {_bytes(one['bytes'])}{launched}; at least "
        f"{one['floor'] * 1e6:.0f} us, with launches {one['seconds'] * 1e6:.0f} us"
    ]
    for kernel in sorted(body.kernels, key=lambda k: -k.bytes)[:top]:
        work = "+".join(sorted(kernel.work - {"copy"})) or kernel.opcode
        lines.append(
            f"      {kernel.bytes / 1e6:9.2f} MB {kernel.flops / 1e9:8.3f} GFLOP  "
            f"{kernel.name[:38]:38} {work[:40]:40} {kernel.source[-60:]}"
        )
    return lines


def _bytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
