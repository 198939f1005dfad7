"""Limits of what the stages compile to at the small shapes; `limits.json` has the figures.

A step that moves megabytes in transposes or concatenations, or a convolution in float32 in a stage
of half precision, gives right results and is slow: only the compiled program shows it.
"""

import json
from pathlib import Path
from typing import Any

LIMITS = Path(__file__).with_name("limits.json")
TARGET = "h200"  # the device of the figures
ROOM = 1.05  # of the figures when they are recorded: compilers differ a little


def case(shapes: dict[str, Any], stage: str) -> str:
    """The name of a stage's limits."""
    form = {None: "default", False: "plain", True: "fused"}[shapes["fused_attention"]]
    return f"{stage} {shapes['dtype']} {form}"


def figures(one: dict[str, Any]) -> dict[str, float]:
    """What is limited, of a stage as `compile_for_gpu` records it.

    The last loop counts, or the program if it has none: kernels of a step, megabytes that a step
    moves in transposes and concatenations of a megabyte or more; and of the whole program the
    megabytes of scratch memory, convolutions in float32, and calls of the host (one for each loop
    that waits for it at its condition).
    """
    last = one["bodies"][-1]
    return {
        "kernels": last["kernels"],
        "moved_mb": round(last["moved"] / 1e6, 1) if last["loop"] else 0.0,
        "scratch_mb": round(one["bytes"]["temp"] / 1e6, 1),
        "float32_convolutions": one["float32_convolutions"],
        "host_calls": len(one["host_calls"]) + sum(b["waits_for_host"] for b in one["bodies"]),
    }


def exceeded(found: dict[str, Any]) -> list[str]:
    """What exceeds its limit in a result of the small shapes, in words; a missing limit, too."""
    limits = json.loads(LIMITS.read_text("utf-8"))
    wrong = []
    for stage, one in found["stages"].items():
        if "error" in one:
            continue
        name = case(found["shapes"], stage)
        if name not in limits:
            wrong.append(f"{name}: no limits are recorded")
            continue
        for what, value in figures(one).items():
            if value > limits[name][what]:
                wrong.append(f"{name}: {what} {value:g}, limit {limits[name][what]:g}")
    return wrong


def record(found: dict[str, Any]) -> None:
    """Writes the limits of a result's stages: its figures, with some room for sizes and counts."""
    limits = json.loads(LIMITS.read_text("utf-8")) if LIMITS.is_file() else {}
    for stage, one in found["stages"].items():
        if "error" in one:
            continue
        made = figures(one)
        for what in ("kernels", "moved_mb", "scratch_mb"):
            made[what] = round(made[what] * ROOM, 1)
        made["kernels"] = int(made["kernels"])
        limits[case(found["shapes"], stage)] = made
    LIMITS.write_text(json.dumps(dict(sorted(limits.items())), indent=1) + "\n", "utf-8")
