"""Cuts text tokens into segments as the PyTorch reference does."""

from collections.abc import Sequence

MARKS = frozenset([".", "!", "?", "▁.", "▁?", "▁..."])
_COMMAS = frozenset([",", "▁,"])
_HYPHENS = frozenset(["-"])
_QUOTES = ("'", "▁'")


def split_as_reference(
    pieces: Sequence[str], limit: int = 120, quick: int = 0, *, quote_twice: bool = True
) -> list[list[str]]:
    """The pieces in runs of about `limit`; runs that begin before `quick` pieces are half as long.

    A quirk of the reference: a quotation mark after a sentence appears twice, at the end of a run
    and at the start of the next, unless `quote_twice` is false.

    Source: `TextTokenizer.split_segments` of the PyTorch release.
    """
    return _split(list(pieces), MARKS, limit, quick, quote_twice)


def _split(
    pieces: list[str], marks: frozenset[str], limit: int, quick: int, twice: bool
) -> list[list[str]]:
    parts: list[list[str]] = []
    current: list[str] = []
    skip = False
    for index, piece in enumerate(pieces):
        if skip:
            skip = False
            continue
        current.append(piece)
        if not marks & _COMMAS and not _COMMAS.isdisjoint(current):
            parts += _split(current, _COMMAS, limit, quick, twice)
        elif "-" not in marks and "-" in current:
            parts += _split(current, _HYPHENS, limit, quick, twice)
        elif len(current) > limit:
            parts += [current[:limit], current[limit:]]
        elif piece in marks and len(current) > 2:
            if index + 1 < len(pieces) and pieces[index + 1] in _QUOTES:
                current.append(pieces[index + 1])
                skip = not twice
            parts.append(current)
        else:
            continue
        current = []
    if current:
        parts.append(current)
    return _merge(parts, limit, quick)


def _merge(parts: list[list[str]], limit: int, quick: int) -> list[list[str]]:
    merged: list[list[str]] = []
    seen = 0
    for part in parts:
        if not part:
            continue
        seen += len(part)
        together = len(merged[-1]) + len(part) if merged else limit + 1
        if together <= limit and (seen > quick or together <= limit / 2):
            merged[-1] = merged[-1] + part
        else:
            merged.append(part)
    return merged
