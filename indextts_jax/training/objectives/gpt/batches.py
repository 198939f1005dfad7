"""Batches of the objective `gpt`: text, codes, and the conditioning of speaker and emotion."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.objectives.base import Batch
from indextts_jax.training.objectives.gpt.options import GPTOptions
from indextts_jax.training.versions.interface import kind_of

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

STEP = 8  # padded lengths are multiples of this
ALIGNMENT = "alignment"  # the text token that each code voices
GUIDED = "guided"  # rows with an alignment


def needed(options: GPTOptions, config: ModelConfig) -> tuple[str, ...]:
    """The features needed for batches."""
    heard = kind_of(config).VOICE if options.trains_conditioning else ("conditioning", "emotion")
    return ("text", "codes", *heard, *((ALIGNMENT,) if options.guided_weight > 0 else ()))


def collate(
    rows: Sequence[Row],
    data: Prepared,
    seconds: float,
    rng: np.random.Generator,
    config: ModelConfig,
    options: GPTOptions,
) -> Batch:
    """A batch whose shapes follow from the data's longest row of its bucket.

    The voice comes from another clip of the speaker, or from the row's own first half if there is
    none. The emotion comes from the row's emotion prompt if it has one, else from the clip itself
    or the other clip.

    Raises:
        InputError: for a clip that exceeds the position tables, or an alignment that does not match
            the clip.
    """
    kind = kind_of(config)
    fitting = [row for row in data.rows if row.seconds <= seconds]
    size_text = _padded(max(row.tokens for row in fitting), config.gpt.max_text_tokens)
    size_codes = _padded(max(row.codes for row in fitting), config.gpt.max_codes)
    texts = [data.read(row, "text") for row in rows]
    codes = [data.read(row, "codes") for row in rows]
    for row, text, code in zip(rows, texts, codes, strict=True):
        _check(row, len(text), size_text, "text tokens")
        _check(row, len(code), size_codes, "codes")
    prompts = [data.prompts(row, rng) for row in rows]
    own = rng.random(len(rows)) < options.target_emotion
    batch = {
        "text": _stacked([text.astype(np.int32) for text in texts], size_text),
        "text_lengths": _lengths(texts),
        "codes": _stacked([code.astype(np.int32) for code in codes], size_codes),
        "code_lengths": _lengths(codes),
        **kind.text_arrays(rows),
    }
    if options.trains_conditioning:
        most = _longest_prompt(config)
        frames = _padded(max(min(kind.features_of(row.codes), most) for row in data.rows), None)
        voices = [_prompt(data, *pair)[:most] for pair in zip(rows, prompts, strict=True)]
        feelings = [
            data.read(row, "semantic")[:most] if mine else voice
            for row, voice, mine in zip(rows, voices, own, strict=True)
        ]
        stacked = functools.partial(_stacked, size=frames)
        batch |= kind.voice_arrays(data, prompts, voices, stacked)
        batch |= {"mood": stacked(feelings), "mood_lengths": _lengths(feelings)}
    else:
        moods = [
            row if mine else other for row, other, mine in zip(rows, prompts, own, strict=True)
        ]
        batch["conditioning"] = np.stack([data.read(row, "conditioning") for row in prompts])
        batch["emotion"] = np.stack(
            [_emotion(data, *pair) for pair in zip(rows, moods, strict=True)]
        )
    if options.guided_weight > 0:
        found = [data.read(row, ALIGNMENT).astype(np.int32) for row in rows]
        for row, path, text, code in zip(rows, found, texts, codes, strict=True):
            _check_alignment(row, path, len(text), len(code))
        batch[ALIGNMENT] = _stacked(found, size_codes)
        batch[GUIDED] = _lengths(found) > 0
    return batch


def _prompt(data: Prepared, row: Row, prompt: Row) -> np.ndarray:
    """Semantic features of a prompt: at most the first half of the row itself."""
    found = data.read(prompt, "semantic")
    return found[: max(len(found) // 2, 1)] if prompt.id == row.id else found


def _longest_prompt(config: ModelConfig) -> int:
    """Longest prompt in semantic features: as in inference, up to what the networks use."""
    kind = kind_of(config)
    heard = kind.features_of(int(config.limits.prompt_seconds * config.codes_per_second))
    return min(heard, kind.voice_frames(config))


def _emotion(data: Prepared, row: Row, mood: Row) -> np.ndarray:
    named = data.has(row, "emotion_prompt")
    return data.read(row, "emotion_prompt") if named else data.read(mood, "emotion")


def _check_alignment(row: Row, path: np.ndarray, tokens: int, codes: int) -> None:
    """Checks an alignment; an empty one means that the row is not guided."""
    if len(path) and (len(path) != codes or path.min() < 0 or path.max() >= tokens):
        raise InputError(
            f"clip {row.id} has an alignment of {len(path)} codes with up to {path.max() + 1} text "
            f"tokens; expected {codes} and {tokens}"
        )


def _check(row: Row, length: int, most: int, what: str) -> None:
    if not 0 < length <= most:
        raise InputError(f"clip {row.id} has {length} {what}; expected 1 to {most}")


def _padded(size: int, most: int | None) -> int:
    whole = -(-size // STEP) * STEP
    return whole if most is None else min(whole, most)


def _lengths(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(array) for array in arrays], np.int32)


def _stacked(arrays: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Stacks arrays, padded with zeros."""
    first = arrays[0]
    made = np.zeros((len(arrays), size, *first.shape[1:]), first.dtype)
    for row, array in zip(made, arrays, strict=True):
        row[: len(array)] = array
    return made
