"""Pieces that a tokenizer cannot represent, and their places in the text."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from indextts_jax.text.tokenizer import Tokenizer

WORD = "▁"
_AHEAD = 20_000  # characters to search, more than a segment: limits the time for a long text


class Unknown(NamedTuple):
    """A piece that the tokenizer does not know."""

    piece: str
    place: int | None  # characters before it; None if the text does not contain it literally
    line: int | None  # from 1
    column: int | None

    def __str__(self) -> str:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in self.piece)
        if self.place is None:
            return shown
        where = f"character {self.column}"
        return f"{shown} at {where}" if self.line == 1 else f"{shown} at line {self.line}, {where}"


def find_unknown(
    text: str, tokenizer: Tokenizer, segments: Sequence[Sequence[str]]
) -> tuple[Unknown, ...]:
    """The pieces of the segments that the vocabulary lacks, in order, with their places."""
    return located(
        text,
        (
            piece.strip(WORD)
            for pieces in segments
            for piece, number in zip(pieces, tokenizer.ids(pieces), strict=True)
            if number == tokenizer.unknown_id
        ),
    )


def located(text: str, unknown: Iterable[str]) -> tuple[Unknown, ...]:
    """The unknown pieces, which are in the order of the text, with their places."""
    found: list[Unknown] = []
    place, line, start = 0, 1, 0
    for shown in filter(None, unknown):
        at = _find(text, shown, place)
        if at is None:
            found.append(Unknown(shown, None, None, None))
            continue
        line += text.count("\n", place, at)
        start = text.rfind("\n", 0, at) + 1
        found.append(Unknown(shown, at, line, at - start + 1))
        place = at
        # Search for the next equal piece after this one.
        place += len(shown)
        line += text.count("\n", at, place)
    return tuple(found)


def _find(text: str, piece: str, start: int) -> int | None:
    """The place of the piece at or after `start`, also in lower case or capitalised."""
    for form in dict.fromkeys((piece, piece.lower(), piece.capitalize())):
        at = text.find(form, start, start + _AHEAD)
        if at >= 0:
            return at
    return None
