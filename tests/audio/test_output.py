"""Waveforms out."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from indextts_jax.audio import output
from indextts_jax.errors import InputError

RATE = 22050
KINDS = [
    (ending, subtype) for ending, kind in output.ENCODINGS.items() for subtype in kind.subtypes
]


def noise(length: int = 4001) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, length).astype(np.float32)


@pytest.mark.parametrize(("ending", "subtype"), KINDS)
@pytest.mark.parametrize("size", [0, 1, 10, 300_001])
def test_a_comment_of_any_length_comes_back_and_the_audio_is_whole(
    tmp_path: Path, ending: str, subtype: str, size: int
) -> None:
    comment = ("comment " * (size // 8 + 1))[:size]
    container, chosen = output.encoding(f"a{ending}", subtype)
    data = output.encode(noise(), RATE, container, chosen, comment)
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    assert output.read_comment(path) == comment
    samples, rate = soundfile.read(path)
    assert rate == RATE
    assert len(samples) == 4001
    assert soundfile.info(path).subtype == subtype


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_16", 1 / 32767), ("PCM_24", 1 / (2**23 - 1)), ("FLOAT", 0.0)]
)
def test_samples_are_kept_to_half_a_step(subtype: str, step: float) -> None:
    wave = np.append(noise(), [1.0, -1.0, 2.0, -2.0, 0.0]).astype(np.float32)
    data = output.encode(wave, RATE, "WAV", subtype)
    kept = soundfile.read(io.BytesIO(data), dtype="int32" if step else "float32")[0]
    if step:
        kept = kept / 2.0**31 * (2.0**15 * step if subtype == "PCM_16" else 2.0**23 * step)
    assert (
        np.abs(kept - np.clip(wave, -1, 1)).max() <= step * 0.51 + 1e-12
    )  # products are float32, as the reference's


def test_raw_samples_are_those_of_the_16_bit_file() -> None:
    wave = noise()
    data = output.encode(wave, RATE, "WAV", "PCM_16")
    assert output.raw(wave) == soundfile.read(io.BytesIO(data), dtype="int16")[0].tobytes()


@pytest.mark.parametrize(
    ("name", "subtype", "message"),
    [
        ("a.aac", None, "'.aac'"),
        ("a", None, "ends in ''"),
        ("a.ogg", "FLOAT", "OGG files have no samples of FLOAT, but VORBIS"),
        ("a.flac", "FLOAT", "PCM_16, PCM_24"),
    ],
)
def test_another_kind_of_file_is_refused(name: str, subtype: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        output.encoding(name, subtype)


def test_a_file_without_a_comment_has_an_empty_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    assert output.read_comment(tmp_path / "a.wav") == ""


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no audio at all")
    with pytest.raises(InputError, match=r"a\.flac is not audio"):
        output.read_comment(tmp_path / "a.flac")
    with pytest.raises(InputError, match=r"none\.flac cannot be read"):
        output.read_comment(tmp_path / "none.flac")


def test_samples_that_are_not_finite_are_no_file() -> None:
    with pytest.raises(ValueError, match="not finite"):
        output.encode(np.array([0.0, np.nan], np.float32), RATE, "WAV", "PCM_16")
