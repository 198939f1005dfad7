"""Reading recordings, and resampling."""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
from jaxtyping import Float32, Int

from indextts_jax.audio.codecs import Decoded
from indextts_jax.audio.recording import Recording, opened
from indextts_jax.config import PROMPT_SECONDS
from indextts_jax.errors import InputError
from indextts_jax.utils.paths import user_path

MIN_SECONDS = 0.5  # of a prompt; the features need 0.035 s, but a voice needs more
RATES = (4_000, 768_000)  # Hz, accepted for a prompt
SILENT = 1e-4  # of full scale: three steps of a 16-bit recording
LOUDEST = 16.0  # of full scale; recordings in floating point may exceed 1
FEW = 8  # channels up to which each is looked at
SUPPORT = 8192  # samples at the lower rate; measured: soxr HQ looks 1000 samples ahead


def load_audio(
    path: str | Path, sample_rate: int, seconds: float = PROMPT_SECONDS, start: float = 0.0
) -> Float32[np.ndarray, " n"]:
    """`seconds` of a recording from second `start` on: mono, in [-1, 1] as stored.

    Reads WAV, FLAC, OGG, MP3 and other formats of libsndfile, and m4a, aac, mp4 and webm where PyAV
    or ffmpeg is installed. As in the reference, channels are
    averaged before resampling to `sample_rate`, and the signal is cut after it; of a long file no
    more is decoded than needed.

    Raises:
        InputError: for a file that is missing, not audio, shorter than `MIN_SECONDS`, silent, with
            a sample rate outside `RATES`, or with NaN, infinity, or a number above `LOUDEST`.

    Source: `IndexTTS2._load_and_cut_audio` of the PyTorch release; `librosa.load`.
    """
    path = user_path(path, "the recording")
    stored = _read(path, seconds, sample_rate, start)
    native = stored.rate
    try:
        signal = soxr_resample(stored.mono, native, sample_rate)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} has a sample rate of {native} Hz, which cannot be resampled to "
            f"{sample_rate} Hz: {error}"
        ) from error
    return signal[: int(seconds * sample_rate)]


class Stored(NamedTuple):
    """A part of a recording at the recording's own sample rate."""

    mono: Float32[np.ndarray, " n"]  # the mean of the channels
    rate: int  # Hz
    spread: float  # the largest range of one channel in a block: that of `mono`, or more
    channel: Float32[np.ndarray, " n"]  # the channel with the most energy
    notes: tuple[str, ...] = ()  # clauses about what of the file cannot be used


def load_as_stored(path: str | Path, seconds: float = PROMPT_SECONDS, start: float = 0.0) -> Stored:
    """The part that `load_audio` uses, at the recording's own sample rate.

    Raises:
        InputError: as `load_audio`.
    """
    stored = _read(user_path(path, "the recording"), seconds, RATES[1], start)
    size = int(seconds * stored.rate)
    return stored._replace(mono=stored.mono[:size], channel=stored.channel[:size])


def _read(path: Path, seconds: float, sample_rate: int, start: float) -> Stored:
    """The part of a recording that `seconds` at `sample_rate` need."""
    with opened(path) as recording:
        native = recording.sample_rate
        if not RATES[0] <= native <= RATES[1]:
            raise InputError(
                f"{path} has a sample rate of {native:,} Hz; a prompt needs {RATES[0]:,} to "
                f"{RATES[1]:,} Hz"
            )
        ahead = seconds + SUPPORT / min(native, sample_rate)
        stored = _mixed(recording, math.ceil(ahead * native), start)
    mono, spread = stored.mono, stored.spread
    if len(mono) < MIN_SECONDS * native:
        length = (
            len(mono) * 100 // native / 100
        )  # rounded down, so that it never shows the required length
        held = f"holds {length} s from second {start:g} on" if start else f"is {length} s long"
        raise InputError(f"{path} {held}; a prompt needs at least {MIN_SECONDS} s")
    if np.ptp(mono) < 2 * SILENT:
        why = "its channels cancel each other" if spread > 2 * SILENT else "it is silent"
        raise InputError(
            f"{path} has no sound in the {min(seconds, len(mono) / native):g} s that are used "
            f"({why}): expected a recording of a voice"
        )
    return stored


def _mixed(recording: Recording | Decoded, frames: int, start: float) -> Stored:
    """The mean of the channels of the next frames; blocks limit the memory for many channels."""
    parts, spread = [np.zeros(0, np.float32)], 0.0
    energies = np.zeros(recording.channels)
    blocks: list[Float32[np.ndarray, "n c"]] = []
    left = frames
    for whole in recording.blocks(start):
        channels = whole[:left]
        odd = ~(np.abs(channels) <= LOUDEST).all(axis=1)  # true for NaN, too
        if odd.any():
            first = int(np.argmax(odd))
            place = start + (sum(map(len, parts)) + first) / recording.sample_rate
            raise InputError(
                f"{recording.path} holds a sample of {np.abs(channels[first]).max()} at "
                f"{place:.3f} s: expected numbers in [-1, 1]"
            )
        parts.append(channels.T.mean(axis=0))
        spread = max(spread, float(np.ptp(channels, axis=0).max()))
        if recording.channels <= FEW:
            energies += channels.var(axis=0) * len(channels)
            blocks.append(channels)
        left -= len(channels)
        if left <= 0:
            break
    mono = np.concatenate(parts)
    channel = mono
    if blocks and recording.channels > 1:
        channel = np.concatenate([block[:, np.argmax(energies)] for block in blocks])
    return Stored(mono, recording.sample_rate, spread, channel, tuple(recording.notes))


def soxr_resample(
    signal: Float32[np.ndarray, " n"], rate_in: int, rate_out: int
) -> Float32[np.ndarray, " k"]:
    """The signal at another rate, by soxr in quality HQ: `ceil(n * rate_out / rate_in)` samples.

    soxr rounds the length to the nearest integer, so up to one zero is appended, as in librosa.

    Source: `librosa.resample`, with the type `soxr_hq`.
    """
    if rate_in == rate_out:
        return signal
    size = math.ceil(len(signal) * (rate_out / rate_in))
    result = np.zeros(size, np.float32)
    narrow = soxr.resample(signal, rate_in, rate_out, quality="HQ")[:size]
    result[: len(narrow)] = narrow
    return result


LOWPASS_WIDTH = 6  # zero crossings on either side
ROLLOFF = 0.99  # cutoff, as a share of the lower Nyquist frequency


@functools.cache
def _sinc_taps(
    rate_in: int, rate_out: int
) -> tuple[Float32[np.ndarray, "j k"], Int[np.ndarray, " j"], int]:
    """The taps of each of the `j` output phases, the input sample of the first tap, and the reach.

    The rates must be coprime. Input samples are counted from `reach` before the first.
    """
    cutoff = ROLLOFF * min(rate_in, rate_out)
    reach = math.ceil(LOWPASS_WIDTH * rate_in / cutoff)
    # The reference rounds this one term to float32. In float64 quiet cells of the features change
    # by 1e-3.
    phase = np.arange(rate_out, dtype=np.float32) / np.float32(rate_out)
    offset = np.arange(-reach, reach + rate_in) / rate_in
    crossings = np.clip(
        cutoff * (offset - phase[:, None].astype(np.float64)), -LOWPASS_WIDTH, LOWPASS_WIDTH
    )
    window = np.cos(np.pi * crossings / (2 * LOWPASS_WIDTH)) ** 2
    bank = (cutoff / rate_in * window * np.sinc(crossings)).astype(np.float32)
    first = np.argmax(bank != 0, axis=1)
    columns = first[:, None] + np.arange(np.count_nonzero(bank, axis=1).max())
    padded = np.pad(bank, ((0, 0), (0, columns.shape[1])))
    return np.take_along_axis(padded, columns, axis=1), first, reach


def resampled_length(samples: int, rate_in: int, rate_out: int) -> int:
    """Samples that `resample` returns.

    A quirk of the reference: the quotient is rounded to float32 before it is rounded up, so from
    90 569 samples at 22 050 Hz on the result is sometimes one sample short.
    """
    common = math.gcd(rate_in, rate_out)
    return math.ceil(np.float32(rate_out // common * samples / (rate_in // common)))


def resample(
    signal: Float32[np.ndarray, " n"], rate_in: int, rate_out: int
) -> Float32[np.ndarray, " k"]:
    """The signal at another rate by a windowed sinc; not the resampler of `load_audio`.

    Source: `torchaudio.transforms.Resample` with its defaults.
    """
    if rate_in == rate_out:
        return signal
    common = math.gcd(rate_in, rate_out)
    taps, first, reach = _sinc_taps(rate_in // common, rate_out // common)
    period, phase = np.divmod(
        np.arange(resampled_length(len(signal), rate_in, rate_out)), rate_out // common
    )
    start = period * (rate_in // common) + first[phase]
    padded = np.pad(signal.astype(np.float64), (reach, reach + rate_in // common + taps.shape[1]))
    # Tap by tap, with product and sum rounded to float32 together: this is what the fused multiply-
    # add in PyTorch's convolution does. From 1.2 s on, every sample is equal to the reference.
    result = np.zeros(len(start), np.float32)
    for k, column in enumerate(taps.T):
        result = (result + padded[start + k] * column[phase]).astype(np.float32)
    return result
