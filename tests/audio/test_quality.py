"""Excerpts and warnings of prompts."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from indextts_jax.audio.quality import excerpt_of, loudest, loudness, prompt_warnings
from indextts_jax.errors import InputError

RATE = 8000


def noise(seconds: float, level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, int(seconds * RATE)).astype(np.float32)


def test_a_good_prompt_gives_no_warning() -> None:
    assert prompt_warnings(noise(5, 0.1), RATE) == []


def test_speech_with_long_pauses_is_not_called_quiet() -> None:
    pause = np.zeros(RATE, np.float32)
    assert prompt_warnings(np.concatenate([noise(1, 0.1), pause] * 4), RATE) == []


@pytest.mark.parametrize(("voice", "length"), [(1.0, 14), (0.5, 15), (0.3, 4), (1.9, 5)])
def test_little_voice_in_a_long_recording_gives_a_warning(voice: float, length: int) -> None:
    signal = noise(length, 1e-4)
    signal[RATE : RATE + int(voice * RATE)] = noise(voice, 0.1)
    (found,) = prompt_warnings(signal, RATE)
    assert re.match(rf"only {voice - 0.05:.1f}|only {voice:.1f} s of its {length}", found)


@pytest.mark.parametrize("offset", [-0.9, -0.03, 0.1, 0.5])
@pytest.mark.parametrize("level", [1e-4, 1e-3])
def test_an_offset_is_not_loudness(offset: float, level: float) -> None:
    found = " ".join(prompt_warnings(noise(5, level) + np.float32(offset), RATE))
    assert ("probably silent" if level < 1e-3 else "very quiet") in found
    assert f"constant offset of {abs(offset):.2f}" in found
    assert loudness(noise(5, 0.1) + np.float32(0.4), RATE) == pytest.approx(-20, abs=1)


def test_the_loudest_excerpt_is_not_the_one_with_an_offset(tmp_path: Path) -> None:
    wave = noise(20, 0.01)
    wave[2 * RATE : 8 * RATE] += 0.8
    wave[12 * RATE : 15 * RATE] *= 10
    soundfile.write(tmp_path / "a.wav", wave, RATE)
    assert loudest(tmp_path / "a.wav", 3.0) == pytest.approx(12.0, abs=0.011)


@pytest.mark.parametrize("left_out", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_nearly_cancel_give_a_warning(
    tmp_path: Path, left_out: float, channels: int
) -> None:
    one = noise(5, 0.1)[:, None]
    soundfile.write(
        tmp_path / "a.wav", np.hstack([one, -(1 - left_out) * one] * (channels // 2)), RATE, "FLOAT"
    )
    if not left_out:
        with pytest.raises(InputError, match="its channels cancel each other"):
            excerpt_of(tmp_path / "a.wav")
        return
    assert "nearly cancel" in " ".join(excerpt_of(tmp_path / "a.wav").warnings)


@pytest.mark.parametrize("gain", [0.0, 0.3, 1.0])
def test_usual_stereo_gives_no_warning(tmp_path: Path, gain: float) -> None:
    one = noise(5, 0.1)[:, None]
    soundfile.write(tmp_path / "a.wav", np.hstack([one, gain * one]), RATE)
    assert excerpt_of(tmp_path / "a.wav").warnings == ()


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (noise(1.5, 0.1), ["only 1.50 s long"]),
        (noise(5, 0.004), ["very quiet: its loudest parts are at -47 dB"]),
        (noise(5, 1e-5), ["probably silent"]),
        (np.zeros(5 * RATE, np.float32), ["probably silent: its loudest parts are at -120 dB"]),
        (np.clip(noise(5, 0.5), -1, 1), ["clipped: 4."]),
        (noise(0.6, 1e-5), ["only 0.60 s long", "probably silent"]),
    ],
)
def test_problems_give_warnings(signal: np.ndarray, words: list[str]) -> None:
    found = prompt_warnings(signal, RATE)
    assert len(found) == len(words)
    for clause, word in zip(found, words, strict=True):
        assert word in clause


@pytest.mark.parametrize("at", [0.0, 3.3, 17.0])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_the_loudest_excerpt_is_found(tmp_path: Path, at: float, rate: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.01, (rate * 20, 2))
    wave[int(at * rate) : int((at + 3) * rate)] *= 20
    soundfile.write(tmp_path / "a.wav", wave, rate)
    assert loudest(tmp_path / "a.wav", 3.0) == pytest.approx(at, abs=0.011)


def test_short_recording_is_used_from_the_start(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(3, 0.1), RATE)
    assert loudest(tmp_path / "a.wav", 15.0) == 0.0


def test_the_excerpt_is_the_first_unless_asked_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    wave = noise(20, 0.004)
    wave[7 * RATE : 10 * RATE] *= 50
    soundfile.write(path, wave, RATE)
    first = excerpt_of(path, seconds=3.0)
    assert first.start == 0.0
    assert [line.split(": ")[:2] for line in first.warnings] == [[str(path), "it is very quiet"]]
    assert excerpt_of(path, "loudest", 3.0) == (pytest.approx(7.0), ())
    assert excerpt_of(path, 8.25, 2.0) == excerpt_of(path, "8.25", 2.0) == (8.25, ())


@pytest.mark.parametrize("excerpt", ["best", "", "-1", -0.5, "nan", "inf"])
def test_another_excerpt_is_refused(tmp_path: Path, excerpt: str | float) -> None:
    with pytest.raises(InputError, match="an excerpt must be first, loudest, or the second"):
        excerpt_of(tmp_path / "a.wav", excerpt)


def test_an_excerpt_past_the_end_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(3, 0.1), RATE)
    with pytest.raises(InputError, match=r"a\.wav holds 0\.0 s from second 42 on"):
        excerpt_of(tmp_path / "a.wav", "42")


def test_non_audio_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    with pytest.raises(InputError, match=r"a\.wav is not audio"):
        loudest(tmp_path / "a.wav", 15.0)
