"""Warnings for users of the library, as Python warnings."""

import sys
import types
import warnings

from indextts_jax.errors import one_line

_BETWEEN = ("indextts_jax", "jaxtyping", "beartype")  # the last two check shapes in tests


def notify(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns, with the source location of the caller outside this package."""
    level = 1
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(one_line(message), category, stacklevel=level)
