"""The excerpt of a long recording, and warnings about the quality of a prompt."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from indextts_jax.audio.io import Stored, load_as_stored
from indextts_jax.audio.recording import opened
from indextts_jax.config import PROMPT_SECONDS
from indextts_jax.errors import InputError
from indextts_jax.utils.paths import user_path

SHORT = 2.0  # seconds; a shorter prompt hardly defines a voice
QUIET = -40.0  # dB relative to full scale, of the louder parts of a prompt
SILENT = -60.0
CANCELLED = 15.0  # dB between the loudest channel and the mean of all
BELOW = 25.0  # dB below the loudest parts, of what is still speech
OFFSET = 0.02  # of full scale, of the mean of a prompt
CLIPPED = 0.001  # share of samples at full scale
STEP = 0.1  # seconds between candidate starts of an excerpt
FIRST, LOUDEST = "first", "loudest"  # excerpts, besides a number of seconds


class Excerpt(NamedTuple):
    """The used part of a recording: the second at which it begins, and warnings about it."""

    start: float
    warnings: tuple[str, ...]  # each a line that names the recording


def excerpt_of(
    path: str | Path, excerpt: str | float = FIRST, seconds: float = PROMPT_SECONDS
) -> Excerpt:
    """The part to use of a recording that is longer than `seconds`.

    `excerpt` is `first`, `loudest` (the part with the most energy), or the second at which it
    begins.

    Raises:
        InputError: for another word, or a recording that cannot be used as a prompt.
    """
    path = user_path(path, "the recording")
    start = loudest(path, seconds) if excerpt == LOUDEST else beginning(excerpt)
    stored = load_as_stored(path, seconds, start)
    found = [*stored.notes, *prompt_warnings(stored.mono, stored.rate)]
    found += _cancelled(stored)
    return Excerpt(start, tuple(f"{path}: {clause}" for clause in found))


def _cancelled(stored: Stored) -> list[str]:
    """A warning if the mean of the channels is much quieter than one of them."""
    mean, one = (loudness(signal, stored.rate) for signal in (stored.mono, stored.channel))
    if one - mean < CANCELLED:
        return []
    return [
        f"its channels nearly cancel each other: one is at {one:.0f} dB, their mean, which is "
        f"used, at {mean:.0f} dB; save one channel as a recording of its own"
    ]


def beginning(excerpt: str | float) -> float:
    """The second at which an excerpt begins; 0 for `first` and `loudest`.

    Raises:
        InputError: for another word, or a number that is negative or not finite.
    """
    if excerpt in (FIRST, LOUDEST):
        return 0.0
    try:
        start = float(excerpt)
    except ValueError:
        start = math.nan
    if not 0 <= start < math.inf:
        raise InputError(
            f"an excerpt must be {FIRST}, {LOUDEST}, or the second where it begins, got {excerpt!r}"
        )
    return start


def prompt_warnings(signal: Float32[np.ndarray, " n"], sample_rate: int) -> list[str]:
    """Warnings about a prompt, each a clause such as `it is only 1.20 s long`."""
    found = []
    seconds = len(signal) / sample_rate
    if seconds < SHORT:
        found.append(f"it is only {seconds:.2f} s long; 5 to 15 s are better")
    level, voiced = loudness(signal, sample_rate), voiced_seconds(signal, sample_rate)
    if level < SILENT:
        found.append(f"it is probably silent: its loudest parts are at {level:.0f} dB")
    elif level < QUIET:
        found.append(f"it is very quiet: its loudest parts are at {level:.0f} dB")
    if level >= SILENT and voiced < min(SHORT, seconds / 2):
        found.append(
            f"only {voiced:.1f} s of its {seconds:.1f} s are about as loud as its loudest parts, "
            "the rest is almost silent; 5 to 15 s of speech are better"
        )
    offset = abs(float(np.mean(signal, dtype=np.float64)))
    if offset > OFFSET:
        found.append(f"it has a constant offset of {offset:.2f} of full scale, which is not sound")
    full = float(np.mean(np.abs(signal) >= 0.999))
    if full > CLIPPED:
        found.append(f"it is clipped: {full:.1%} of its samples are at full scale")
    return found


def _powers(signal: Float32[np.ndarray, " n"], sample_rate: int) -> Float64[np.ndarray, " b"]:
    """The power of 50 ms blocks, without their mean: a constant offset is not sound."""
    size = max(1, sample_rate // 20)
    blocks = signal[: len(signal) // size * size].reshape(-1, size).astype(np.float64)
    blocks = blocks if len(blocks) else signal[None].astype(np.float64)
    return np.var(blocks, axis=1)


def loudness(signal: Float32[np.ndarray, " n"], sample_rate: int) -> float:
    """Level of the louder parts, in dB of full scale: that of the loudest quarter of a second, or
    of 5 % of a longer signal."""
    powers = np.sort(_powers(signal, sample_rate))
    return float(10 * np.log10(max(powers[-_few(powers)], 1e-12)))


def _few(powers: Float64[np.ndarray, " b"]) -> int:
    """Blocks of a quarter of a second, fewer of a signal that is short."""
    return min(5, 1 + len(powers) // 20)


def voiced_seconds(signal: Float32[np.ndarray, " n"], sample_rate: int) -> float:
    """Seconds that are at most `BELOW` dB quieter than the loudest parts."""
    powers = _powers(signal, sample_rate)
    least = np.sort(powers)[-_few(powers)] * 10 ** (-BELOW / 10)
    return float(np.count_nonzero(powers >= max(least, 1e-12)) / 20)


def loudest(path: str | Path, seconds: float) -> float:
    """The second at which the excerpt with the most energy begins; 0 for a shorter recording.

    The file is read once, in blocks; values that are not finite count as silence here, and a
    constant offset does not count as sound.

    Raises:
        InputError: if the file cannot be read as audio.
    """
    with opened(Path(path)) as recording:
        step = max(1, round(STEP * recording.sample_rate))
        exact = step / recording.sample_rate
        energies: list[float] = []
        rest = np.zeros(0)
        for block in recording.blocks():
            mono = np.nan_to_num(block.mean(axis=1).astype(np.float64), posinf=0, neginf=0)
            mono = np.concatenate([rest, mono])
            whole = len(mono) // step * step
            energies += (mono[:whole].reshape(-1, step).var(axis=1) * step).tolist()
            rest = mono[whole:]
        if len(rest):
            energies.append(float(rest.var() * len(rest)))
    window = round(seconds / exact)
    if len(energies) <= window:
        return 0.0
    total = np.concatenate([[0.0], np.cumsum(energies)])
    return int(np.argmax(total[window:] - total[:-window])) * exact
