"""Limits on sizes from settings, checked before anything is built from them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

MOST = 2**20  # of any size: a vocabulary has 151,936 entries
COUNTED = ("layers",)  # sizes that count parts with arrays of their own


def too_large(sizes: Mapping[str, Any]) -> list[str]:
    """Problems with sizes by name that no model has; lists are checked, too."""
    problems = []
    for name, value in sizes.items():
        values = value if isinstance(value, list | tuple) else [value]
        odd = [v for v in values if isinstance(v, int | float) and abs(v) > MOST]
        if odd:
            shown = f"{odd[0]:.10g}" if abs(odd[0]) < 1e300 else "beyond 1e300"
            problems.append(f"the size {name} is {shown}: expected at most {MOST:,}")
        elif len(values) > MOST // 1024:
            problems.append(f"the size {name} has {len(values):,} parts: expected fewer")
    return problems


def more_than_held(section: Any, arrays: int, path: str = "") -> list[str]:
    """Problems with a section's counts of layers, each of which has an array in the file."""
    problems = []
    for field in dataclasses.fields(section):
        value, name = getattr(section, field.name), f"{path}{field.name}"
        if dataclasses.is_dataclass(value):
            problems += more_than_held(value, arrays, f"{name}.")
        elif field.name in COUNTED:
            layers = sum(value) if isinstance(value, tuple) else value
            if layers > arrays:
                problems.append(
                    f"{name} is {layers:,}, but the file has only {arrays:,} arrays: fewer than "
                    "one for each"
                )
    return problems
