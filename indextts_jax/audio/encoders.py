"""Encoders that give bytes while samples still come: PCM, WAV, MP3, Opus, AAC and FLAC.

PCM and WAV need nothing; the others use PyAV. Without PyAV, libsndfile makes MP3, Opus and FLAC at
the end, all at once, and AAC cannot be made.
"""

import importlib.util
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import soxr
from jaxtyping import Float32

from indextts_jax.audio.output import encode, quantized
from indextts_jax.errors import InputError

INSTALL = "pip install 'indextts-jax[serve-codecs]'"
LEAST_RATE, MOST_RATE = 8_000, 48_000  # Hz
_MPEG = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_OPUS = (8_000, 12_000, 16_000, 24_000, 48_000)
UNKNOWN = 0xFFFFFFFF  # the size in the header of a WAV whose end has not come


class Format(NamedTuple):
    """A format that a stream can have."""

    media_type: str
    rates: tuple[int, ...] | None  # Hz; None: any from `LEAST_RATE` to `MOST_RATE`
    usual: int  # Hz, if none is requested
    # PyAV's names of container and codec, and options of the container; None where not needed.
    av: tuple[str, str, dict[str, str]] | None = None
    # libsndfile's names of container and samples; None where it cannot make it.
    whole: tuple[str, str] | None = None


FORMATS = {
    "mp3": Format(
        "audio/mpeg",
        _MPEG,
        22_050,
        ("mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
        ("MP3", "MPEG_LAYER_III"),
    ),
    "opus": Format(
        "audio/ogg",
        _OPUS,
        24_000,
        ("ogg", "libopus", {"page_duration": "20000"}),
        ("OGG", "OPUS"),
    ),
    "aac": Format("audio/aac", _MPEG, 22_050, ("adts", "aac", {})),
    "flac": Format("audio/flac", None, 22_050, ("flac", "flac", {}), ("FLAC", "PCM_16")),
    "wav": Format("audio/wav", None, 22_050),
    "pcm": Format("audio/pcm", None, 24_000),  # what clients of OpenAI's API play
}


def has_codecs() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def check_format(name: str, rate: int | None) -> int:
    """The sample rate of a stream in this format, in Hz.

    Raises:
        InputError: for a rate that the format does not have, or a format that cannot be made here.
    """
    wanted = FORMATS[name]
    if wanted.av is not None and wanted.whole is None and not has_codecs():
        raise InputError(f"{name} needs PyAV on the server: {INSTALL}", "response_format")
    if rate is None:
        return wanted.usual
    if wanted.rates is not None and rate not in wanted.rates:
        known = ", ".join(map(str, wanted.rates))
        raise InputError(f"sample_rate of {name} must be one of {known}, got {rate}", "sample_rate")
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise InputError(
            f"sample_rate must be {LEAST_RATE} to {MOST_RATE} Hz, got {rate}", "sample_rate"
        )
    return rate


class Encoder:
    """Turns samples at `rate_in` Hz into the bytes of one stream."""

    def __init__(self, name: str, rate_in: int, rate: int):
        self.media_type = FORMATS[name].media_type
        self.streams = True
        """Whether bytes come before `finish`."""
        self._resampler = (
            None if rate == rate_in else soxr.ResampleStream(rate_in, rate, 1, "float32", "HQ")
        )
        self._write, self._end = self._made(name, rate)

    def _made(self, name: str, rate: int) -> "_Functions":
        if name == "pcm":
            return _raw()
        if name == "wav":
            return _raw(wav_header(rate))
        wanted = FORMATS[name]
        assert wanted.av is not None
        if has_codecs():
            return _by_pyav(rate, *wanted.av)
        self.streams = False
        assert wanted.whole is not None
        return _at_the_end(rate, *wanted.whole)

    def encode(self, samples: Float32[np.ndarray, " n"]) -> bytes:
        """The next bytes; may be empty."""
        return self._write(self._resampled(samples, last=False))

    def finish(self) -> bytes:
        """The bytes that are left."""
        rest = self._resampled(np.zeros(0, np.float32), last=True)
        return (self._write(rest) if len(rest) else b"") + self._end()

    def _resampled(
        self, samples: Float32[np.ndarray, " n"], *, last: bool
    ) -> Float32[np.ndarray, " k"]:
        if self._resampler is None:
            return samples
        return self._resampler.resample_chunk(np.ascontiguousarray(samples), last=last)


_Functions = tuple[Callable[[Float32[np.ndarray, " n"]], bytes], Callable[[], bytes]]


def wav_header(rate: int) -> bytes:
    """The header of 16-bit mono WAV of unknown length, as streams have it."""
    layout = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    head = b"RIFF" + struct.pack("<I", UNKNOWN) + b"WAVEfmt " + struct.pack("<I", len(layout))
    return head + layout + b"data" + struct.pack("<I", UNKNOWN)


def _raw(header: bytes = b"") -> _Functions:
    pending = [header]

    def write(samples: Float32[np.ndarray, " n"]) -> bytes:
        first, pending[0] = pending[0], b""
        return first + quantized(samples, "PCM_16").astype("<i2").tobytes()

    return write, lambda: pending[0]


def _at_the_end(rate: int, container: str, subtype: str) -> _Functions:
    parts: list[Float32[np.ndarray, " n"]] = []

    def write(samples: Float32[np.ndarray, " n"]) -> bytes:
        parts.append(samples)
        return b""

    return write, lambda: encode(
        np.concatenate([np.zeros(0, np.float32), *parts]), rate, container, subtype
    )


class _Written:
    """A file that is only written; without `seek`, so that no header is written again."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def take(self) -> bytes:
        taken, self.data = bytes(self.data), bytearray()
        return taken


def _by_pyav(rate: int, container: str, codec: str, options: dict[str, str]) -> _Functions:
    import av  # an extra

    av.logging.set_level(None)
    file = _Written()
    output: Any = av.open(file, "w", format=container, options={"flush_packets": "1"} | options)
    stream = output.add_stream(codec, rate=rate)
    stream.layout = "mono"
    place = [0]

    def write(samples: Float32[np.ndarray, " n"]) -> bytes:
        if len(samples):
            frame = av.AudioFrame.from_ndarray(
                quantized(samples, "PCM_16")[None], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, place[0]
            place[0] += len(samples)
            output.mux(stream.encode(frame))
        return file.take()

    def end() -> bytes:
        output.mux(stream.encode(None))
        output.close()
        return file.take()

    return write, end
