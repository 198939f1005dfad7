"""A clip's signal and its measurements.

The signal is loaded as `synth` loads a speaker prompt: to the end of what the file holds, channels
averaged, resampled to the mel's rate by soxr. Long silence at either end is trimmed.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from indextts_jax.audio.codecs import Decoded
from indextts_jax.audio.io import LOUDEST, SILENT, soxr_resample
from indextts_jax.audio.recording import Recording as Stream
from indextts_jax.audio.recording import opened
from indextts_jax.audio.streams import CUT_OFF
from indextts_jax.errors import InputError
from indextts_jax.training.data.rows.manifest import Clip

LONGEST = 120.0  # seconds of a clip decoded at most: recipes use much less
BLOCK = 2048  # FFT size of the band limit
EDGE = 20.0  # dB by which the spectrum drops abruptly if a file was upsampled
FRAME = 0.01  # seconds per frame of levels
SPOKEN = 40.0  # dB below the loud parts that count as silence
VERSION = 2  # of the measurements


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trim:
    """How silence at the ends is trimmed."""

    longest: float = 0.4  # seconds of silence allowed; published codes include silence
    kept: float = 0.15  # seconds kept of longer silence


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Measurements of a recording. For an unusable one only `fault` is set."""

    fault: str = ""
    message: str = ""
    rate: int = 0  # Hz, as stored
    band: float = 0.0  # Hz, upper end of the signal's band
    first: int = 0  # samples at the mel's rate, after trimming
    last: int = 0
    length: int = 0  # before trimming
    lead: float = 0.0  # seconds of silence, before trimming
    tail: float = 0.0
    clipped: float = 0.0  # share of samples at full scale
    noise: float = 0.0  # dB between loud and soft parts
    stereo: float = 0.0  # difference of two channels relative to their mean
    notes: tuple[str, ...] = ()  # clauses about what of the file cannot be used


class Unusable(Exception):
    """An unusable recording; `fault` is machine-readable."""

    def __init__(self, fault: str, message: str):
        super().__init__(message)
        self.fault = fault


def measure(clip: Clip, rate: int, trim: Trim) -> Measured:
    """Measures a clip's recording; an unusable one does not raise."""
    try:
        mono, native, stereo, notes = _decode(clip)
    except Unusable as error:
        return Measured(fault=error.fault, message=str(error))
    levels = _levels(mono, native)
    quiet = _threshold(levels)
    spoken = np.flatnonzero(levels > quiet)
    wide = soxr_resample(mono, native, rate)
    lead = float(spoken[0] * FRAME)
    tail = max(0.0, len(wide) / rate - float(spoken[-1] + 1) * FRAME)
    first = round((lead - trim.kept) * rate) if lead > trim.longest else 0
    last = len(wide) - (round((tail - trim.kept) * rate) if tail > trim.longest else 0)
    loud, soft = np.percentile(levels, 90), np.percentile(levels, 10)
    return Measured(
        rate=native,
        band=round(band_limit(mono, native)),
        first=max(0, first),
        last=last,
        length=len(wide),
        lead=round(lead, 3),
        tail=round(tail, 3),
        clipped=float(np.mean(np.abs(mono) >= 0.999)),
        noise=round(float(loud - soft), 1),
        stereo=round(stereo, 3),
        notes=notes,
    )


def signal(clip: Clip, measured: Measured, rate: int) -> Float32[np.ndarray, " n"]:
    """The clip at the mel's rate, with silence trimmed.

    Raises:
        InputError: if it can no longer be read.
    """
    try:
        mono, native, _, _ = _decode(clip)
    except Unusable as error:
        raise InputError(f"{clip.place}: {error}") from error
    return soxr_resample(mono, native, rate)[measured.first : measured.last]


def band_limit(mono: Float32[np.ndarray, " n"], rate: int) -> float:
    """The upper band limit (Hz) of an upsampled recording; otherwise half its rate.

    Speech decays gradually with frequency; a resampling filter cuts off within a few hundred hertz.
    """
    count = len(mono) // BLOCK
    if count < 2:
        return rate / 2
    blocks = mono[: count * BLOCK].reshape(count, BLOCK).astype(np.float64)
    powers = np.abs(np.fft.rfft(blocks * np.hanning(BLOCK))) ** 2
    energy = powers.sum(axis=1)
    mean = powers[energy >= np.median(energy)].mean(axis=0)[1:]
    width = max(1, round(250 / (rate / BLOCK)))  # bins of a band of 250 Hz
    bands = mean[: len(mean) // width * width].reshape(-1, width).mean(axis=1)
    decibels = 10 * np.log10(bands + 1e-20)
    hertz = width * rate / BLOCK
    best, limit = EDGE, rate / 2
    for edge in range(math.ceil(2000 / hertz), len(decibels) - 2):
        fall = decibels[edge - 2 : edge].mean() - decibels[edge + 1 :].max()
        if fall > best:
            best, limit = fall, edge * hertz
    return float(limit)


class _Heard(NamedTuple):
    """The samples of a clip."""

    mono: Float32[np.ndarray, " n"]  # the mean of the channels
    rate: int  # Hz, of the file
    stereo: float  # the difference of the channels relative to their mean
    notes: tuple[str, ...]  # clauses about what of the file cannot be used


def _decode(clip: Clip) -> _Heard:
    """The samples of a clip, read as those of a prompt are: to the end of what the file holds."""
    try:
        with opened(clip.recording.path, clip.recording.content()) as recording:
            channels = _samples(clip, recording)
            rate, notes = recording.sample_rate, tuple(recording.notes)
    except InputError as error:
        why = str(error)
        named = why.removeprefix(f"{clip.recording.path} ")  # the clip is named before the message
        raise Unusable("unreadable", why if named == why else f"it {named}") from error
    if clip.end is None and (lost := next((n for n in notes if n.startswith(CUT_OFF)), None)):
        raise Unusable("cut", f"{lost}; its text is that of the whole")
    if not (np.abs(channels) <= LOUDEST).all():  # also for NaN
        raise Unusable("numbers", "it has invalid samples (NaN, infinity, or huge)")
    mono = channels.T.mean(axis=0)
    if np.ptp(mono) < 2 * SILENT:
        cancelled = np.ptp(channels, axis=0).max() > 2 * SILENT
        raise Unusable("silent", "its channels cancel each other" if cancelled else "it is silent")
    return _Heard(mono, rate, _difference(channels, mono), notes)


def _samples(clip: Clip, recording: Stream | Decoded) -> Float32[np.ndarray, "n c"]:
    """The clip's part of its recording."""
    rate, end = recording.sample_rate, clip.end
    if end is not None and clip.start >= end:
        raise Unusable("cut", f"expected seconds {clip.start:g} to {end:g}")
    wanted = math.inf if end is None else round(end * rate) - round(clip.start * rate)
    most = math.ceil(LONGEST * rate)
    parts: list[Float32[np.ndarray, "n c"]] = []
    held = 0
    for block in recording.blocks(clip.start):
        parts.append(block)
        held += len(block)
        if held > min(wanted, most):
            break
    if min(held, wanted) > most:
        raise Unusable("long", f"it is longer than {LONGEST:g} s: cut it into sentences")
    if not held and end is None and not clip.start:
        raise Unusable("unreadable", "it has no samples")
    if not held or (end is not None and held < wanted - 0.1 * rate):
        last = f"to {end:g}" if end is not None else "and on"
        there = f"ends at {clip.start + held / rate:.2f} s" if held else "ends before"
        raise Unusable("cut", f"expected seconds {clip.start:g} {last}, but the file {there}")
    return np.concatenate(parts)[: int(min(held, wanted))]


def _difference(channels: Float32[np.ndarray, "n c"], mono: Float32[np.ndarray, " n"]) -> float:
    if channels.shape[1] == 1:
        return 0.0
    rest = np.sqrt(np.mean((channels - mono[:, None]) ** 2, dtype=np.float64))
    return float(rest / max(np.sqrt(np.mean(mono**2, dtype=np.float64)), SILENT))


def _levels(mono: Float32[np.ndarray, " n"], rate: int) -> np.ndarray:
    """The level of each frame of `FRAME` seconds, in dB of full scale."""
    size = max(1, round(FRAME * rate))
    padded = np.pad(mono, (0, -len(mono) % size)).reshape(-1, size).astype(np.float64)
    return 10 * np.log10(np.mean((padded - mono.mean()) ** 2, axis=1) + 1e-12)


def _threshold(levels: np.ndarray) -> float:
    """The silence threshold: well below the loud parts, and above the noise."""
    loud, soft = np.percentile(levels, 95), np.percentile(levels, 10)
    found = max(loud - SPOKEN, min(soft + 6.0, loud - 25.0))
    return float(min(found, levels.max() - 1e-6))  # so that at least the loudest frame is kept


def to_int16(wide: Float32[np.ndarray, " n"]) -> Any:
    """16-bit samples; values beyond full scale are clipped."""
    return np.clip(np.rint(wide * 32767.0), -32768, 32767).astype(np.int16)
