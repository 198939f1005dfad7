"""Batches for semantic encoder and codec: augmented features, letters, and prosody."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from indextts_jax.training.data.alignment import letters_of
from indextts_jax.training.objectives.base import Batch
from indextts_jax.training.objectives.tokens.heads import PROSODY_BANDS
from indextts_jax.training.objectives.tokens.options import BANDS, TokensOptions

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

RATE = 50  # semantic features per second


def stretched(x: Float[np.ndarray, "t c"], count: int) -> Float[np.ndarray, "u c"]:
    """Linear interpolation of the rows of `x` at `count` equally spaced positions."""
    places = (np.arange(count) + 0.5) * (len(x) / count) - 0.5
    places = np.clip(places, 0, len(x) - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, len(x) - 1)
    share = (places - low)[:, None].astype(np.float32)
    result: np.ndarray = x[low] * (1 - share) + x[high] * share
    return result


def prosody(mel: Float[np.ndarray, "f m"], count: int) -> Float[np.ndarray, "t k"]:
    """20 bands and the energy of a log-mel for each code."""
    mel = stretched(mel.astype(np.float32), count)
    bands = mel.reshape(count, PROSODY_BANDS, -1).mean(axis=2)
    energy = np.log(np.mean(np.exp(mel), axis=1, keepdims=True))
    return np.concatenate([bands, energy], axis=1).astype(np.float32)


def mask_spans(
    pairs: Float[np.ndarray, "t c"], options: TokensOptions, rng: np.random.Generator
) -> Float[np.ndarray, "t c"]:
    """SpecAugment: sets bands and time spans of normalised features to zero, their mean."""
    frames = pairs.reshape(len(pairs), 2, BANDS).copy()
    for _ in range(options.band_masks):
        width = int(rng.integers(options.band_width + 1))
        start = int(rng.integers(BANDS - width + 1))
        frames[:, :, start : start + width] = 0
    for _ in range(options.time_masks):
        width = min(int(rng.integers(options.time_width + 1)), len(frames))
        start = int(rng.integers(len(frames) - width + 1))
        frames[start : start + width] = 0
    return frames.reshape(pairs.shape)


def collate(
    rows: Sequence[Row],
    data: Prepared,
    seconds: float,
    options: TokensOptions,
    rng: np.random.Generator,
) -> Batch:
    """A batch; validation rows are not augmented.

    Labels are padded to half the number of frames; a row with more labels gets none.
    """
    size = math.ceil(seconds * RATE / min(options.speeds)) + 1
    batch = {
        "features": np.zeros((len(rows), size, 2 * BANDS), np.float32),
        "lengths": np.zeros(len(rows), np.int32),
        "labels": np.zeros((len(rows), size // 2), np.int32),
        "label_counts": np.zeros(len(rows), np.int32),
        "spelled": np.zeros(len(rows), bool),
        "prosody": np.zeros((len(rows), size, PROSODY_BANDS + 1), np.float32),
        "speakers": np.zeros(len(rows), np.int32),
    }
    for i, row in enumerate(rows):
        mask = data.read(row, "encoder_mask").astype(bool)
        pairs = data.read(row, "encoder_input")[mask].astype(np.float32)
        speed = 1.0
        if row.split == "train":
            speed = float(rng.choice(options.speeds))
        count = max(min(round(len(pairs) / speed), size), 1)
        if speed != 1:
            frames = stretched(pairs.reshape(-1, BANDS), 2 * count)
            pairs = frames.reshape(count, 2 * BANDS)
        pairs = pairs[:count]
        if row.split == "train":
            pairs = mask_spans(pairs, options, rng)
        batch["features"][i, : len(pairs)] = pairs
        batch["lengths"][i] = len(pairs)
        batch["prosody"][i, : len(pairs)] = prosody(data.read(row, "mel"), len(pairs))
        found = letters_of(row.spoken or row.text)
        if 0 < len(found) <= batch["labels"].shape[1]:
            batch["labels"][i, : len(found)] = found
            batch["label_counts"][i], batch["spelled"][i] = len(found), True
        # Hashed, so that a name has the same row in every run and on every machine.
        batch["speakers"][i] = zlib.crc32(row.speaker.encode()) % options.speakers
    return batch
