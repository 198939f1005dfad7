"""Batches for the style encoder: crops with changed speed, noise and reverberation."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from indextts_jax.audio.features import centred, filter_bank
from indextts_jax.audio.io import soxr_resample
from indextts_jax.errors import InputError
from indextts_jax.training.objectives.base import Batch
from indextts_jax.training.objectives.style.options import StyleOptions

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

RATE = 16000  # Hz, sample rate of the filter banks
HOP = 160  # samples
FRAME = 400  # samples
PEAK = 2**15  # of 16-bit samples
SNR = (5.0, 25.0)  # dB
DECAY = (0.1, 0.6)  # seconds in which reverberation falls by 60 dB
DIRECT = 0.5  # most energy of the reverberation


@functools.lru_cache(maxsize=4)
def classes(data: Prepared) -> dict[str, int]:
    """Class numbers of the training speakers."""
    names = sorted({row.speaker for row in data.rows if row.split == "train"})
    return {name: number for number, name in enumerate(names)}


def noisy(x: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Adds coloured noise, 5 to 25 dB below the signal."""
    spectrum = np.fft.rfft(rng.standard_normal(len(x)))
    spectrum /= np.arange(1, len(spectrum) + 1) ** rng.uniform(0, 1)  # white to pink and beyond
    noise = np.fft.irfft(spectrum, len(x))
    ratio = 10 ** (-rng.uniform(*SNR) / 20)
    scale = ratio * np.sqrt(np.mean(x**2)) / max(float(np.sqrt(np.mean(noise**2))), 1e-12)
    return (x + scale * noise).astype(np.float32)


def reverberant(x: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Adds reverberation: a direct path and exponentially decaying noise as impulse response."""
    seconds = rng.uniform(*DECAY)
    time = np.arange(int(seconds * RATE)) / RATE
    room = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    room *= np.sqrt(rng.uniform(0, DIRECT) / np.sum(room**2))
    room[0] = 1
    size = len(x) + len(room)
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(room, size), size)
    return wet[: len(x)].astype(np.float32)


def crop(
    sound: Float[np.ndarray, " n"], size: int, rng: np.random.Generator
) -> Float[np.ndarray, " k"]:
    """`size` samples from a random position; shorter sounds are repeated."""
    if len(sound) < size:
        sound = np.tile(sound, math.ceil(size / len(sound)))
    start = int(rng.integers(len(sound) - size + 1))
    return sound[start : start + size]


def collate(
    rows: Sequence[Row],
    data: Prepared,
    options: StyleOptions,
    sample_rate: int,
    mels: int,
    rng: np.random.Generator,
) -> Batch:
    """Filter banks of crops without padding, and classes; -1 for speakers without training rows.

    Raises:
        InputError: if the training rows have more speakers than the options.
    """
    numbers = classes(data)
    if len(numbers) > options.speakers:
        raise InputError(
            f"the data have {len(numbers)} speakers, the recipe's options {options.speakers}: set "
            "options.speakers"
        )
    size = int(options.seconds * RATE)
    frames = (size - FRAME) // HOP + 1
    banks = np.zeros((len(rows), frames, mels), np.float32)
    found = np.full(len(rows), -1, np.int32)
    for i, row in enumerate(rows):
        train = row.split == "train"
        turn = int(rng.integers(len(options.speeds))) if train else 0
        speed = options.speeds[turn] if train else 1.0
        native = round(sample_rate * speed)
        needed = math.ceil((size + 1) * native / RATE)
        sound = crop(data.read(row, "samples").astype(np.float32) / PEAK, needed, rng)
        sound = soxr_resample(sound, native, RATE)[:size]
        if train and rng.random() < options.reverberation:
            sound = reverberant(sound, rng)
        if train and rng.random() < options.noise:
            sound = noisy(sound, rng)
        banks[i] = centred(filter_bank(sound))
        if row.speaker in numbers:
            found[i] = turn * options.speakers + numbers[row.speaker]
    return {"banks": banks, "classes": found}


def equal_error_rate(styles: Float[np.ndarray, "n s"], speakers: Sequence[str]) -> float:
    """The equal error rate of pairs: where both error rates are equal.

    Raises:
        ValueError: without pairs of both kinds.
    """
    unit = styles / np.linalg.norm(styles, axis=1, keepdims=True)
    first, second = np.triu_indices(len(styles), 1)
    scores = (unit @ unit.T)[first, second]
    names = np.asarray(speakers)
    same = names[first] == names[second]
    if same.all() or not same.any():
        raise ValueError("expected pairs of the same speaker and pairs of different speakers")
    order = np.argsort(scores, kind="stable")
    missed = np.concatenate([[0], np.cumsum(same[order])]) / same.sum()
    accepted = 1 - np.concatenate([[0], np.cumsum(~same[order])]) / (~same).sum()
    best = int(np.argmin(np.abs(missed - accepted)))
    return float((missed[best] + accepted[best]) / 2)
