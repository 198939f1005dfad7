"""Warnings about a text, as lines and as Python warnings."""

from indextts_jax.errors import InputError, TextWarning
from indextts_jax.text.frontend import Script
from indextts_jax.utils.notices import notify

SHOWN = 10  # unknown pieces


def text_notices(script: Script) -> list[str]:
    """The warnings about a text, a line each.

    Raises:
        InputError: if the tokenizer knows no piece of it.
    """
    names = list(dict.fromkeys(map(str, script.unknown)))
    shown = ", ".join(names[:SHOWN]) + f", {len(names) - SHOWN} more" * (len(names) > SHOWN)
    if names and not script.known:
        raise InputError(f"the tokenizer knows no piece of the text: {shown}")
    lines = list(script.warnings)
    if names:
        lines.append(f"the tokenizer does not know: {shown}")
    return lines


def notify_text(script: Script) -> None:
    """Issues a `TextWarning` for each warning about a text.

    Raises:
        InputError: if the tokenizer knows no piece of it.
    """
    for line in text_notices(script):
        notify(line, TextWarning)
