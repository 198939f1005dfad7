"""The words of a segment with their times: attention or an estimate, a path, and quiet edges."""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from indextts_jax.timings import guards
from indextts_jax.timings.estimate import PAUSE_BONUS, estimated_attention, piece_weights
from indextts_jax.timings.levels import energy_of, quiet_codes, settled
from indextts_jax.timings.path import QUIET_BONUS, Path, code_bounds
from indextts_jax.timings.source import SegmentWord, spoken_words

ATTENTION, ESTIMATE = "attention", "estimate"  # methods
NOT_READ = "not read"  # reasons for a word without a time
NOT_FOUND = "not found in the sound"
_TAG = re.compile(r"<\|[^|]+\|>")


@dataclasses.dataclass(frozen=True)
class Word:
    """A word of the text, and when it is spoken; without times there is a reason."""

    text: str
    start: float | None  # seconds
    end: float | None
    char_start: int  # characters of the text before it
    char_end: int
    spoken: str  # its reading, as the tokenizer has it
    confidence: float | None  # mean attention to it while it is spoken; None for an estimate
    method: str  # `attention` or `estimate`
    reason: str | None = None

    def later(self, seconds: float) -> "Word":
        """The word in a sound that begins this much earlier."""
        if self.start is None or self.end is None:
            return self
        return dataclasses.replace(self, start=self.start + seconds, end=self.end + seconds)


class Sound(NamedTuple):
    """The samples of a segment, and the entry of the regulator's input that each frame repeats."""

    wave: Float32[np.ndarray, " n"]
    rate: int  # Hz
    frame_codes: Int[np.ndarray, " f"]
    codes: int
    per_code: int  # entries of the regulator's input
    hop: int  # samples of a frame

    @property
    def bounds(self) -> Int[np.ndarray, " codes+1"]:
        """The samples at which codes begin, and the end."""
        return self.hop * code_bounds(self.frame_codes, self.codes, self.per_code)

    @property
    def codes_per_second(self) -> float:
        """Codes in a second of this sound, whatever its speed."""
        return self.codes * self.rate / len(self.wave)


class SegmentTimes(NamedTuple):
    """The words of a segment, in order, and which of them are faulty."""

    words: tuple[Word, ...]
    skipped: tuple[int, ...] = ()  # indices of `words`
    repeated: tuple[int, ...] = ()


def untimed(words: Sequence[SegmentWord], method: str) -> SegmentTimes:
    """The words of a segment without sound."""
    return SegmentTimes(tuple(_word(word, None, None, method) for word in words))


def time_words(
    words: Sequence[SegmentWord],
    pieces: Sequence[str],
    attention: Float[np.ndarray, "s t"] | None,
    sound: Sound,
) -> SegmentTimes:
    """When the words of a segment are spoken, in seconds of its sound.

    `attention` is that of its codes to its pieces; without it the times are an estimate.
    """
    method = ESTIMATE if attention is None else ATTENTION
    bounds, energy = sound.bounds, energy_of(sound.wave)
    quiet = quiet_codes(energy, bounds)
    said = [number for number, word in enumerate(words) if word.spoken]
    spans = [(words[number].first, words[number].last) for number in said]
    skipped: list[int] = []
    repeated: list[int] = []
    by_word = None
    if attention is None:
        attention = estimated_attention(piece_weights(len(pieces), spoken_words(pieces)), quiet)
    else:
        by_word = guards.word_attention(attention, spans)
        skipped = [said[n] for n in guards.skipped(by_word)]
        repeated = [said[n] for n in guards.repeated(by_word, quiet, sound.codes_per_second)]
    path = Path(*_kinds(pieces), QUIET_BONUS if method == ATTENTION else PAUSE_BONUS)
    path.extend(attention, quiet)
    first, last = path.codes()
    ranges = {
        number: (_code_at(a, first, last), _code_at(b, first, last, ending=True))
        for number, (a, b) in zip(said, spans, strict=True)
    }
    timed = [n for n in said if n not in skipped and ranges[n][0] < ranges[n][1]]
    edges = _edges([ranges[number] for number in timed], bounds, energy, sound.rate)
    found = [_word(word, None, None, method) for word in words]
    places = {number: place for place, number in enumerate(said)}
    for number, (start, end) in zip(timed, edges, strict=True):
        sure = None
        if by_word is not None:
            own = slice(math.floor(ranges[number][0]), math.ceil(ranges[number][1]))
            sure = round(float(by_word[own, places[number]].mean()), 3)
        found[number] = _word(words[number], (start, end), sure, method)
    return SegmentTimes(tuple(found), tuple(skipped), tuple(repeated))


def _word(
    word: SegmentWord, span: tuple[float, float] | None, sure: float | None, method: str
) -> Word:
    reason = None if span else NOT_FOUND if word.spoken else NOT_READ
    start, end = span or (None, None)
    source = word.word
    return Word(
        source.text, start, end, source.start, source.end, word.spoken, sure, method, reason
    )


def _kinds(pieces: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which pieces sound, and before which there may be silence, see `Path`."""
    sounding = sounding_pieces(pieces)
    begins = ~sounding
    begins[[int(word.first) for word in spoken_words(pieces)]] = True
    return sounding, begins


def sounding_pieces(pieces: Sequence[str]) -> Bool[np.ndarray, " t"]:
    """Which pieces of a segment have a sound: all but marks and special tokens."""
    return np.array([_sounds(piece) for piece in pieces], bool)


def _sounds(piece: str) -> bool:
    """Whether a piece has a letter or a digit; a special token has not."""
    plain = not _TAG.fullmatch(piece)
    return plain and any(unicodedata.category(c)[0] in "LN" for c in piece)


def _code_at(
    place: float,
    first: Int[np.ndarray, " t"],
    last: Int[np.ndarray, " t"],
    *,
    ending: bool = False,
) -> float:
    """Codes before a place among the pieces, see `SpokenWord`."""
    piece = math.ceil(place) - 1 if ending else math.floor(place)
    return float(first[piece] + (place - piece) * (last[piece] - first[piece]))


def _edges(
    ranges: Sequence[tuple[float, float]],
    bounds: Int[np.ndarray, " codes+1"],
    energy: Float[np.ndarray, " n+1"],
    rate: int,
) -> list[tuple[float, float]]:
    """Start and end of each range of codes, in seconds, moved to where it is quiet."""
    flat = np.array(ranges, float).reshape(-1)
    times = np.interp(flat, np.arange(len(bounds)), bounds / rate)
    moved = settled(np.maximum.accumulate(times).tolist(), energy, rate)
    moved = [round(edge, 6) for edge in moved]
    return list(zip(moved[0::2], moved[1::2], strict=True))
