"""Middle and spread of repeats, and what runs here: NumPy alone."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


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
