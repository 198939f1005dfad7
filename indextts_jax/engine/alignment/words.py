"""The times of words within segments, parts and whole speech."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.checkpoint import alignment
from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.config import HalfRateCodecConfig, ModelConfig
from indextts_jax.engine.faults import Fault, playable
from indextts_jax.errors import InputError
from indextts_jax.models.gpt import Heads
from indextts_jax.models.length_regulator import nearest_indices
from indextts_jax.runtime.model import Model
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.timings.source import SegmentWord, words_by_segment
from indextts_jax.timings.words import (
    ATTENTION,
    ESTIMATE,
    SegmentTimes,
    Sound,
    Word,
    time_words,
    untimed,
)

TextWords = tuple[tuple[SegmentWord, ...], ...]  # the words of a text, by segment
REPORTED = ("skipped", "repeated")  # faults that no retry is made for
_NAMED = 8  # words that a message names


def heads_of(model: Model) -> Heads:
    """The heads of a model that follow the text; empty if none have been chosen.

    Raises:
        InputError: if the file of its heads is damaged, or made with another GPT.
    """
    if model.alignment is None:
        return ()
    if model.provenance is None:
        raise InputError("random weights have no heads that follow a text")
    return _heads(model.alignment, model.provenance, model.config)


@functools.lru_cache(maxsize=8)
def _heads(data: bytes, record: Provenance, config: ModelConfig) -> Heads:
    return alignment.parse(data, record, config).places


def words_of(text: str, script: Script) -> TextWords:
    """The words of a text within each segment of its script."""
    return words_by_segment(text, [spoken.pieces for spoken in script.segments])


def segment_times(
    model: Model,
    words: Sequence[SegmentWord],
    spoken: Spoken,
    codes: int,
    wave: Float32[np.ndarray, " n"],
    attention: Float32[np.ndarray, "s t"] | None,
    index: Int[np.ndarray, " f"] | None = None,
) -> SegmentTimes:
    """When the words of a segment are spoken, in seconds of its wave.

    `attention` is that of its codes to its text tokens; without it the times are an estimate.
    `index` is the row of the length regulator's input that each frame repeats; by default that of a
    whole segment.
    """
    mel, codec = model.config.mel, model.config.semantic_codec
    if not codes or not len(wave):
        return untimed(words, ESTIMATE if attention is None else ATTENTION)
    per_code = codec.features_per_code if isinstance(codec, HalfRateCodecConfig) else 1
    frames = len(wave) // mel.hop
    if index is None:
        index = nearest_indices(per_code * codes, frames)
    sound = Sound(playable(wave), mel.sample_rate, index, codes, per_code, mel.hop)
    return time_words(words, spoken.pieces, attention, sound)


def timing_faults(times: SegmentTimes | None) -> tuple[Fault, ...]:
    """Words that were skipped, or said again; they are reported, and nothing is done about it."""
    if times is None:
        return ()
    found = []
    if times.skipped:
        found.append(Fault(REPORTED[0], f"not found in the sound: {_named(times, times.skipped)}"))
    if times.repeated:
        found.append(Fault(REPORTED[1], f"said again: {_named(times, times.repeated)}"))
    return tuple(found)


def _named(times: SegmentTimes, numbers: Sequence[int]) -> str:
    shown = " ".join(times.words[number].text for number in numbers[:_NAMED])
    return f"{shown!r:.200}" + (" ..." if len(numbers) > _NAMED else "")


def words_in_part(
    model: Model, script: Script, index: int, times: SegmentTimes | None
) -> tuple[Word, ...] | None:
    """The words of a segment in seconds of its part, which may begin with silence."""
    if times is None:
        return None
    rate = model.config.mel.sample_rate
    ahead = int(rate * script.lead) / rate if index == 0 else 0.0
    return tuple(word.later(ahead) for word in times.words)


def later(words: tuple[Word, ...] | None, seconds: float) -> tuple[Word, ...] | None:
    """Words, if there are any, in a sound that begins this much earlier."""
    return None if words is None else tuple(word.later(seconds) for word in words)


def joined_words(
    parts: Sequence[tuple[tuple[Word, ...], float]],
) -> tuple[Word, ...]:
    """The words of parts in seconds of the whole, given the seconds of each part; see `merged`."""
    starts = itertools.accumulate((seconds for _, seconds in parts), initial=0.0)
    placed = [
        word.later(start)
        for (words, _), start in zip(parts, starts, strict=False)
        for word in words
    ]
    return merged(placed)


def merged(words: Iterable[Word]) -> tuple[Word, ...]:
    """The words of all segments; one whose reading is cut between segments is one word."""
    groups = itertools.groupby(words, key=lambda word: word.char_start)
    return tuple(_one_word(list(group)) for _, group in groups)


def _one_word(same: Sequence[Word]) -> Word:
    timed = [word for word in same if word.start is not None]
    if len(same) == 1 or not timed:
        return same[0]
    sure = [word.confidence for word in timed if word.confidence is not None]
    return dataclasses.replace(
        timed[0],
        end=timed[-1].end,
        spoken=" ".join(word.spoken for word in same if word.spoken),
        confidence=min(sure) if sure else None,
    )
