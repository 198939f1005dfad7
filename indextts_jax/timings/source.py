"""The words of a text, and which pieces of its spoken form say each of them.

The words are the user's own: `7:05` is one word, said as `seven oh five`. A word is what stands
between spaces, without the marks around it; each ideograph and each kana is a word of its own.
"""

import bisect
import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from indextts_jax.text.pauses import pause_marks
from indextts_jax.text.segments import WORD
from indextts_jax.timings.pairing import pair_words

_IDEOGRAPHS = (  # and kana
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_SEPARATORS = "，。！？、；：…—–“”„«»（）《》〈〉「」『』【】〔〕［］·・"
_RUN = re.compile(rf"[{_IDEOGRAPHS}]|[^\s{re.escape(_SEPARATORS)}{_IDEOGRAPHS}]+")
_AROUND = ".,;:!?'\"()[]{}<>*_~`|\\/-’‘‚¿¡"
_TAG = re.compile(r"<\|[^|]+\|>")  # a special token, such as that of the language
_BROKEN = re.compile("[\udc80-\udcff]")  # bytes outside any character
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # how a part of a character is shown


@dataclasses.dataclass(frozen=True)
class SourceWord:
    """A word of a text, and where it stands there."""

    text: str
    start: int  # characters before it
    end: int


class SpokenWord(NamedTuple):
    """A word as it is spoken, and which pieces say it."""

    text: str
    first: float  # pieces before it; a fraction where a piece holds several words
    last: float


@dataclasses.dataclass(frozen=True)
class SegmentWord:
    """A word of the text within one segment, with all that is said for it there."""

    word: SourceWord
    spoken: str  # empty if nothing is
    first: float  # pieces before it, see `SpokenWord`
    last: float


def source_words(text: str) -> list[SourceWord]:
    """The words of a text, in order; `[pause 0.8s]` is not a word."""
    for start, end in pause_marks(text):
        text = text[:start] + " " * (end - start) + text[end:]
    found = []
    for run in _RUN.finditer(text):
        inner = run[0].strip(_AROUND)
        if inner:
            start = run.start() + run[0].index(inner)
            found.append(SourceWord(inner, start, start + len(inner)))
    return found


def spoken_words(pieces: Sequence[str]) -> list[SpokenWord]:
    """The words that the pieces of a segment spell."""
    data, spans = b"", []  # bytes, as a piece may be a part of a character
    for piece in pieces:
        held = _bytes_of(piece)
        start = len(data) + len(held) - len(held.lstrip())
        data += held
        spans.append((start, len(data)))
    text = data.decode(errors="surrogateescape")
    sizes = (len(character.encode(errors="surrogateescape")) for character in text)
    places = list(itertools.accumulate(sizes, initial=0))
    return [
        SpokenWord(
            _BROKEN.sub("\ufffd", word.text),
            _piece_at(spans, places[word.start], starting=True),
            _piece_at(spans, places[word.end], starting=False),
        )
        for word in source_words(text)
    ]


def _bytes_of(piece: str) -> bytes:
    if _TAG.fullmatch(piece):
        return b""
    parts = _BYTE.split(piece.replace(WORD, " "))
    return b"".join(
        bytes([int(part, 16)]) if number % 2 else part.encode() for number, part in enumerate(parts)
    )


def _piece_at(spans: Sequence[tuple[int, int]], place: int, *, starting: bool) -> float:
    """How many pieces, given by their bytes, stand before a byte; the space before one is its own.

    On the edge of two pieces, the end of a word belongs to the first and its start to the second.
    """
    find = bisect.bisect_right if starting else bisect.bisect_left
    for number in range(find(spans, place, key=lambda span: span[1]), len(spans)):
        start, end = spans[number]
        if start < end:
            return number + max(0, place - start) / (end - start)
    return float(len(spans))


def words_by_segment(
    text: str, segments: Sequence[Sequence[str]]
) -> tuple[tuple[SegmentWord, ...], ...]:
    """The words of a text within each segment, given by its pieces; every word at least once.

    A word whose reading is cut between two segments is in both. One that is not read at all is with
    the word before it, and nothing is said for it.
    """
    words = source_words(text)
    said = [(number, one) for number, run in enumerate(segments) for one in spoken_words(run)]
    spans = pair_words([word.text for word in words], [one.text for _, one in said])
    found: list[list[SegmentWord]] = [[] for _ in segments]
    number, place = 0, 0.0
    for word, (first, last) in zip(words, spans, strict=True):
        run = said[first:last]
        if not run and found:
            found[number].append(SegmentWord(word, "", place, place))
        for each in sorted({segment for segment, _ in run}):
            mine = [one for segment, one in run if segment == each]
            spoken = " ".join(one.text for one in mine)
            found[each].append(SegmentWord(word, spoken, mine[0].first, mine[-1].last))
            number, place = each, mine[-1].last
    return tuple(map(tuple, found))
