"""Streams of encoded sound: readable, complete, and early."""

import io
import struct

import numpy as np
import pytest
import soundfile

from indextts_jax.audio import encoders
from indextts_jax.audio.encoders import FORMATS, Encoder, check_format
from indextts_jax.errors import InputError

RATE = 22050
FRAME = 0.1  # seconds; the longest frame of these formats, with what encoders put before and after
LOSSLESS = ("wav", "flac")


def tone(seconds: float = 1.3) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def encoded(name: str, rate: int, parts: int = 5) -> list[bytes]:
    """The bytes after each part, and those at the end."""
    encoder = Encoder(name, RATE, rate)
    return [*map(encoder.encode, np.array_split(tone(), parts)), encoder.finish()]


def decoded(name: str, data: bytes, rate: int) -> np.ndarray:
    if name == "pcm":
        return np.frombuffer(data, "<i2") / 32767
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(data)) as file:
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
        assert file.streams.audio[0].rate in (rate, 48000)  # Opus is always decoded at 48 kHz
        scale = 1.0 if frames[0].dtype.kind == "f" else float(np.iinfo(frames[0].dtype).max)
        samples = np.concatenate([frame.reshape(-1) for frame in frames]) / scale
        place = np.arange(0, len(samples), file.streams.audio[0].rate / rate).astype(int)
    return samples[place]


@pytest.mark.parametrize("name", FORMATS)
def test_stream_is_readable_complete_and_early(name: str) -> None:
    rate = check_format(name, None)
    parts = encoded(name, rate)
    assert all(parts[1:4]), "bytes come while samples still come"
    samples = decoded(name, b"".join(parts), rate)
    assert len(tone()) / RATE == pytest.approx(len(samples) / rate, abs=FRAME)
    tail = samples[round((1.3 - 0.15) * rate) : round((1.3 - 0.05) * rate)]
    assert np.sqrt(np.mean(tail**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("name", ["wav", "flac", "pcm"])
def test_lossless_stream_does_not_depend_on_how_it_is_cut(name: str) -> None:
    whole, parts = (b"".join(encoded(name, 24000, count)) for count in (1, 7))
    ours, other = (decoded(name, data, 24000) for data in (whole, parts))
    assert len(ours) == len(other) == np.ceil(len(tone()) * 24000 / RATE)
    assert np.abs(ours - other).max() < 2e-4  # a step of 16 bits


def test_wav_has_the_sizes_of_a_stream() -> None:
    data = b"".join(encoded("wav", RATE))
    assert struct.unpack_from("<I", data, 4) == struct.unpack_from("<I", data, 40) == (0xFFFFFFFF,)
    assert data[:4] + data[8:16] + data[36:40] == b"RIFFWAVEfmt data"
    assert len(data) == 44 + 2 * len(tone())


@pytest.mark.parametrize("name", ["mp3", "opus", "flac"])
def test_without_pyav_a_format_comes_whole_at_the_end(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(encoders, "has_codecs", lambda: False)
    *parts, last = encoded(name, 24000)
    assert parts == [b""] * 5
    samples, rate = soundfile.read(io.BytesIO(last))
    assert rate in (24000, 48000)
    assert len(samples) / rate == pytest.approx(1.3, abs=FRAME)
    with pytest.raises(InputError, match="aac needs PyAV"):
        check_format("aac", None)


@pytest.mark.parametrize(
    ("name", "rate"), [("pcm", 7999), ("wav", 48001), ("opus", 22050), ("mp3", 9000)]
)
def test_rate_that_a_format_does_not_have_is_refused(name: str, rate: int) -> None:
    with pytest.raises(InputError, match="sample_rate"):
        check_format(name, rate)


def test_empty_stream_has_a_header() -> None:
    assert Encoder("wav", RATE, RATE).finish()[:4] == b"RIFF"
    assert Encoder("pcm", RATE, 24000).finish() == b""
