"""Pauses written in the text: `[pause 0.8s]`."""

import re
from typing import NamedTuple

from indextts_jax.errors import InputError

LONGEST = 60.0  # seconds
_PAUSE = re.compile(r"[\[［]\s*pause\b([^\[\]［］\n]*)[\]］]", re.IGNORECASE)
_OPEN = re.compile(r"[\[［]\s*pause[\s:=]*\d[\d.]*\s*\w{0,7}(?!\s*[\w.\]］])", re.IGNORECASE)
_LENGTH = re.compile(r"[\s:=]*(\d+(?:\.\d*)?|\.\d+)\s*(s|sec|secs|second|seconds|ms|秒)?\s*", re.I)
_USUAL = 0.5  # seconds, of a `[pause]` without a length


class TextPart(NamedTuple):
    """A part of a text and the pause after it in seconds; None at the end of the text."""

    text: str
    pause: float | None


def split_pauses(text: str) -> list[TextPart]:
    """The text cut at its pauses.

    Raises:
        InputError: for a pause with an invalid length, an open bracket, or more than a minute.
    """
    parts, place = [], 0
    for match in _PAUSE.finditer(text):
        parts.append(TextPart(text[place : match.start()], _seconds(match)))
        place = match.end()
    for part in (*parts, TextPart(text[place:], None)):
        if unfinished := _OPEN.search(part.text):
            raise InputError(f"{unfinished[0]} in the text: the bracket is not closed")
    return [*parts, TextPart(text[place:], None)]


def pause_marks(text: str) -> list[tuple[int, int]]:
    """Where the pauses of a text are written: their first characters, and those behind them."""
    return [match.span() for match in _PAUSE.finditer(text)]


def _seconds(match: re.Match[str]) -> float:
    if not match[1].strip():
        return _USUAL
    length = _LENGTH.fullmatch(match[1])
    if not length:
        raise InputError(f"{match[0]} in the text: expected a length such as [pause 0.8s]")
    seconds = float(length[1]) / (1000 if (length[2] or "").lower() == "ms" else 1)
    if seconds > LONGEST:
        raise InputError(f"{match[0]} in the text: a pause lasts {LONGEST:.0f} s at most")
    return seconds
