"""Kernels and times of one step of a loop, from a trace of JAX's profiler."""

import collections
import dataclasses
from pathlib import Path
from typing import Any

import jax

TOP = 25  # kernels that are listed


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that ran, in nanoseconds."""

    name: str
    start: float
    duration: float


def events(path: Path) -> dict[str, list[Event]]:
    """What ran on the streams of each device, of a `.xplane.pb`; on a CPU, in XLA's threads."""
    planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
    gpus = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    found: dict[str, list[Event]] = {}
    for plane in gpus or planes:
        for line in plane.lines:
            # Other lines of a GPU's plane (steps, modules, operations) repeat the same events.
            if line.name.startswith("Stream") if gpus else "xla" in line.name.lower():
                made = [Event(e.name, e.start_ns, e.duration_ns) for e in line.events]
                found.setdefault(plane.name, []).extend(made)
    return found


def summary(ran: list[Event], steps: int) -> dict[str, Any]:
    """The kernels that run at every step: how often, how long, and how busy the device is.

    What ran less often than there are steps is outside of the loop, and is reported as one number.
    If the driver records a CUDA graph as one, it counts as one kernel here.
    """
    by_name: dict[str, list[Event]] = collections.defaultdict(list)
    for event in ran:
        by_name[event.name].append(event)
    loop = {name: found for name, found in by_name.items() if len(found) >= steps}
    inside = [event for found in loop.values() for event in found]
    outside = [event for name, found in by_name.items() if name not in loop for event in found]
    if not inside:
        return {"steps": steps, "kernels_per_step": 0, "outside_us": _microseconds(outside)}
    span = max(e.start + e.duration for e in inside) - min(e.start for e in inside)
    ordered = sorted(loop.items(), key=lambda item: -sum(e.duration for e in item[1]))
    return {
        "steps": steps,
        "kernels_per_step": len(inside) / steps,
        "names": len(loop),
        "busy_us_per_step": _microseconds(inside) / steps,
        "span_us_per_step": span / 1e3 / steps,
        "outside_us": _microseconds(outside),
        "top": [
            {
                "name": name[:120],
                "per_step": len(found) / steps,
                "us_per_step": _microseconds(found) / steps,
            }
            for name, found in ordered[:TOP]
        ],
    }


def _microseconds(found: list[Event]) -> float:
    return sum(event.duration for event in found) / 1e3


def read(folder: Path, steps: int) -> dict[str, Any]:
    """Summarises the newest trace below a directory.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if nothing in it ran on a device, naming what the trace has.
    """
    paths = sorted(folder.glob("plugins/profile/*/*.xplane.pb"))
    if not paths:
        raise FileNotFoundError(f"the profiler wrote no trace to {folder}")
    found = events(paths[-1])
    if not found:
        planes = jax.profiler.ProfileData.from_file(str(paths[-1])).planes
        names = [f"{plane.name}: {[line.name for line in plane.lines]}" for plane in planes]
        raise ValueError(f"no kernels in the trace; it has {'; '.join(names)[:1000]}")
    (name, ran), *_ = sorted(found.items())
    return {
        "plane": name,
        **summary(ran, steps),
        "trace": str(paths[-1].relative_to(folder.parent)),
    }
