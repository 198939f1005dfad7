"""What users of the library should know, and what stops nothing: Python warnings."""

import sys
import types
import warnings

from indextts_jax.errors import InputError, TextWarning
from indextts_jax.text.frontend import Script

SHOWN = 10  # unknown pieces
_BETWEEN = ("indextts_jax", "jaxtyping", "beartype")  # the last two check shapes, in tests


def text_notices(script: Script) -> list[str]:
    """What is odd about a text, a line each.

    Raises:
        InputError: if the tokenizer knows nothing of it.
    """
    names = list(dict.fromkeys(map(str, script.unknown)))
    shown = ", ".join(names[:SHOWN]) + f", {len(names) - SHOWN} more" * (len(names) > SHOWN)
    if names and not script.known:
        raise InputError(f"the tokenizer knows nothing of the text: {shown}")
    lines = list(script.warnings)
    if names:
        lines.append(f"the tokenizer does not know: {shown}")
    return lines


def notify(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the line outside of this package that led here."""
    level = 1
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def notify_text(script: Script) -> None:
    """Warns of what is odd about a text.

    Raises:
        InputError: if the tokenizer knows nothing of it.
    """
    for line in text_notices(script):
        notify(line, TextWarning)
