"""What results share: how repeats are summed up, and the first keys of a recorded file.

The standard library and NumPy alone.
"""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "indextts-jax")
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-cuda12-pjrt", "jax-cuda13-pjrt")
COMPILERS = ("nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc")  # ptxas
ROOT = Path(__file__).parents[1]


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """Median, and half the distance between the quartiles, of some seconds."""
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return {
        "median": float(middle),
        "spread": float(high - low) / 2,
        "least": min(seconds),
        "seconds": list(seconds),
    }


def machine() -> dict[str, Any]:
    """What the processor calls itself, its cores, and how busy they are."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # the project need not be installed, nor is there a plugin everywhere
    return found


def commit(root: Path = ROOT) -> str | None:
    """The commit of the working tree, with `+` if files differ from it; none outside of git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def head(kind: str, device: str | None) -> dict[str, Any]:
    """The first keys of a result; `device` is the one that computed, as a person knows it."""
    return {
        "kind": kind,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "device": device,
        "versions": versions((*PACKAGES, *PLUGINS, *COMPILERS)),
        "commit": commit(),
    }


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Writes a result as JSON, so that a run that is cut off leaves the last one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
