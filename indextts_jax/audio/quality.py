"""The excerpt of a long recording, and warnings about the quality of a prompt."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float32

from indextts_jax.audio.io import load_as_stored
from indextts_jax.config import PROMPT_SECONDS
from indextts_jax.errors import InputError

SHORT = 2.0  # seconds; a shorter prompt hardly defines a voice
QUIET = -40.0  # dB relative to full scale, of the louder parts of a prompt
SILENT = -60.0
CLIPPED = 0.001  # share of samples at full scale
STEP = 0.1  # seconds between candidate starts of an excerpt
FIRST, LOUDEST = "first", "loudest"  # excerpts, besides a number of seconds
_BLOCK = 1 << 16  # samples read at once


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
    start = loudest(path, seconds) if excerpt == LOUDEST else beginning(excerpt)
    found = prompt_warnings(*load_as_stored(path, seconds, start))
    return Excerpt(start, tuple(f"{path}: {clause}" for clause in found))


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
    if len(signal) < SHORT * sample_rate:
        found.append(f"it is only {len(signal) / sample_rate:.2f} s long; 5 to 15 s are better")
    level = loudness(signal, sample_rate)
    if level < SILENT:
        found.append(f"it is probably silent: its loudest parts are at {level:.0f} dB")
    elif level < QUIET:
        found.append(f"it is very quiet: its loudest parts are at {level:.0f} dB")
    full = float(np.mean(np.abs(signal) >= 0.999))
    if full > CLIPPED:
        found.append(f"it is clipped: {full:.1%} of its samples are at full scale")
    return found


def loudness(signal: Float32[np.ndarray, " n"], sample_rate: int) -> float:
    """Level of the louder parts, in dB of full scale: the 95th percentile of 50 ms blocks' RMS."""
    size = max(1, sample_rate // 20)
    blocks = signal[: len(signal) // size * size].reshape(-1, size).astype(np.float64)
    powers = np.mean(blocks**2, axis=1) if len(blocks) else np.mean(signal[None] ** 2, axis=1)
    return float(10 * np.log10(max(np.percentile(powers, 95), 1e-12)))


def loudest(path: str | Path, seconds: float) -> float:
    """The second at which the excerpt with the most energy begins; 0 for a shorter recording.

    The file is read once, in blocks; values that are not finite count as silence here.

    Raises:
        InputError: if the file cannot be read as audio.
    """
    try:
        with soundfile.SoundFile(path) as file:
            step = max(1, round(STEP * file.samplerate))
            energies: list[float] = []
            for block in file.blocks(
                step * max(1, _BLOCK // step), dtype="float32", always_2d=True
            ):
                power = (
                    np.nan_to_num(block.mean(axis=1).astype(np.float64), posinf=0, neginf=0) ** 2
                )
                starts = np.arange(0, len(power), step)
                energies += np.add.reduceat(power, starts).tolist()
            exact = step / file.samplerate
    except soundfile.SoundFileError as error:
        raise InputError(f"{path} is not audio that can be read: {error}") from error
    window = round(seconds / exact)
    if len(energies) <= window:
        return 0.0
    total = np.concatenate([[0.0], np.cumsum(energies)])
    return int(np.argmax(total[window:] - total[:-window])) * exact
