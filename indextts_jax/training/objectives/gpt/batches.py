"""Batches of the objective `gpt`: text, codes, and what is heard of the speaker and the emotion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.layers.conformer import frames_heard
from indextts_jax.training.objectives.base import Batch
from indextts_jax.training.objectives.gpt.options import GPTOptions

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

STEP = 8  # padded lengths are multiples of it
ALIGNMENT = "alignment"  # of each code: which text token it voices
GUIDED = "guided"  # rows that have an alignment


def needed(options: GPTOptions) -> tuple[str, ...]:
    """The features that batches are made of."""
    heard = ("semantic",) if options.trains_conditioning else ("conditioning", "emotion")
    return ("text", "codes", *heard, *((ALIGNMENT,) if options.guided_weight > 0 else ()))


def collate(
    rows: Sequence[Row],
    data: Prepared,
    seconds: float,
    rng: np.random.Generator,
    config: ModelConfig,
    options: GPTOptions,
) -> Batch:
    """A batch whose shapes follow from the longest row of the data that has its bucket's length.

    The voice is that of another clip of the speaker, or of the row's own first half where there is
    none. The emotion is that of the row's own emotion prompt where it has one, else of the clip
    itself or of the other clip.

    Raises:
        InputError: for a clip that is longer than the tables of positions, or an alignment that is
            not one of the clip.
    """
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
    }
    if options.trains_conditioning:
        most = _longest_prompt(config)
        frames = _padded(max(min(row.codes, most) for row in data.rows), None)
        voices = [_prompt(data, *pair)[:most] for pair in zip(rows, prompts, strict=True)]
        feelings = [
            data.read(row, "semantic")[:most] if mine else voice
            for row, voice, mine in zip(rows, voices, own, strict=True)
        ]
        for name, found in (("prompt", voices), ("mood", feelings)):
            batch[name] = _stacked(found, frames)
            batch[f"{name}_lengths"] = _lengths(found)
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
    """Semantic features of a prompt: of the row itself no more than its first half."""
    found = data.read(prompt, "semantic")
    return found[: max(len(found) // 2, 1)] if prompt.id == row.id else found


def _longest_prompt(config: ModelConfig) -> int:
    """Semantic features of a prompt: what speaking takes, as far as the networks hear it."""
    heard = config.conditioning
    reach = max(frames_heard(heard.speaker_encoder), frames_heard(heard.emotion_encoder))
    return min(int(config.limits.prompt_seconds * config.codes_per_second), reach)


def _emotion(data: Prepared, row: Row, mood: Row) -> np.ndarray:
    named = data.has(row, "emotion_prompt")
    return data.read(row, "emotion_prompt") if named else data.read(mood, "emotion")


def _check_alignment(row: Row, path: np.ndarray, tokens: int, codes: int) -> None:
    """One that is empty is none: the row is not guided."""
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
    """The arrays one below the other, zeros behind them."""
    first = arrays[0]
    made = np.zeros((len(arrays), size, *first.shape[1:]), first.dtype)
    for row, array in zip(made, arrays, strict=True):
        row[: len(array)] = array
    return made
