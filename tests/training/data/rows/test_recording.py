"""What is measured of recordings."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speech_sets import RATE, speech

from indextts_jax.audio.io import load_audio, soxr_resample
from indextts_jax.audio.recording import opened
from indextts_jax.training.data.rows.checks import Limits, audio_findings
from indextts_jax.training.data.rows.manifest import Clip, Recording
from indextts_jax.training.data.rows.recording import Measured, Trim, measure, signal, to_int16


def clip(path: Path, **more: float) -> Clip:
    return Clip(
        id="x", audio="x", recording=Recording(path), text="", speaker="s", place="x", **more
    )


def written(folder: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Clip:
    soundfile.write(folder / "x.wav", samples, rate, subtype)
    return clip(folder / "x.wav")


def measured(folder: Path, samples: np.ndarray, rate: int = RATE) -> Measured:
    return measure(written(folder, samples, rate), RATE, Trim())


def test_good_speech_has_nothing_odd(tmp_path: Path) -> None:
    found = measured(tmp_path, speech(2))
    assert (found.fault, found.first, found.last, found.rate) == ("", 0, 2 * RATE, RATE)
    assert found.band == RATE / 2
    assert found.clipped == found.stereo == 0
    assert found.noise > 20


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_the_signal_is_what_synth_hears(tmp_path: Path, rate: int) -> None:
    one = written(tmp_path, speech(1.1, rate=rate), rate)
    heard = signal(one, measure(one, RATE, Trim()), RATE)
    np.testing.assert_array_equal(heard, load_audio(tmp_path / "x.wav", RATE))


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.0), (1.0, 0.0), (0.0, 2.0), (0.6, 0.7)])
def test_long_silence_at_the_ends_is_trimmed(tmp_path: Path, before: float, after: float) -> None:
    rng = np.random.default_rng(0)
    voice = speech(2)
    parts = [np.zeros(round(before * RATE)), voice, np.zeros(round(after * RATE))]
    samples = np.concatenate(parts) + 1e-5 * rng.normal(size=sum(map(len, parts)))
    one = written(tmp_path, samples.astype(np.float32))
    found = measure(one, RATE, Trim())
    assert abs(found.lead - before) < 0.05
    assert abs(found.tail - after) < 0.05
    expected = 2 + (0.15 if before else 0) + (0.15 if after else 0)
    assert abs(len(signal(one, found, RATE)) / RATE - expected) < 0.05


def test_short_silence_stays(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(RATE // 3, np.float32), speech(1)])
    assert measured(tmp_path, samples).first == 0


def test_hiss_counts_as_silence(tmp_path: Path) -> None:
    hiss = np.random.default_rng(1).normal(0, 0.002, 4 * RATE).astype(np.float32)
    hiss[RATE : 3 * RATE] += speech(2)
    found = measured(tmp_path, hiss)
    assert abs(found.lead - 1) < 0.1
    assert abs(found.tail - 1) < 0.1


def test_an_upsampled_file_is_found_by_its_spectrum(tmp_path: Path) -> None:
    narrow = speech(2, rate=16000)
    wide = soxr_resample(narrow, 16000, 48000)
    assert abs(measured(tmp_path, wide, 48000).band - 8000) < 400


def test_gradual_decay_is_not_a_band_limit(tmp_path: Path) -> None:
    white = speech(3)
    spectrum = np.fft.rfft(white)
    fading = np.fft.irfft(spectrum * np.exp(-np.linspace(0, 8, len(spectrum))))  # 70 dB
    assert measured(tmp_path, fading.astype(np.float32)).band == RATE / 2


def test_clipping_noise_and_channels_are_measured(tmp_path: Path) -> None:
    assert measured(tmp_path, np.clip(speech(2, level=2.0), -1, 1)).clipped > 0.01
    noisy = speech(2) + np.random.default_rng(2).normal(0, 0.03, 2 * RATE).astype(np.float32)
    assert measured(tmp_path, noisy).noise < 15
    two = np.stack([speech(2), speech(2, seed=1)], axis=1)
    assert measured(tmp_path, two).stereo > 0.5
    assert measured(tmp_path, np.stack([speech(2)] * 2, axis=1)).stereo < 1e-3


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.zeros(RATE), "silent"),
        (np.stack([speech(1), -speech(1)], axis=1), "silent"),
        (np.where(np.arange(RATE) == 9, np.nan, speech(1)), "numbers"),
        (np.zeros((0,)), "unreadable"),
        (np.zeros(121 * 100), "long"),
    ],
)
def test_unusable_recordings_have_a_fault(tmp_path: Path, samples: np.ndarray, fault: str) -> None:
    rate = 100 if fault == "long" else RATE
    found = measured(tmp_path, samples.astype(np.float32), rate)
    assert found.fault == fault
    assert found.message


def test_non_audio_or_missing_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("hello")
    assert measure(clip(tmp_path / "x.wav"), RATE, Trim()).fault == "unreadable"
    assert "No such file" in measure(clip(tmp_path / "y.wav"), RATE, Trim()).message


def test_a_clip_may_be_a_part_of_its_file(tmp_path: Path) -> None:
    samples = speech(5)
    written(tmp_path, samples)
    one = clip(tmp_path / "x.wav", start=1.5, end=3.5)
    found = measure(one, RATE, Trim())
    heard = signal(one, found, RATE)
    np.testing.assert_array_equal(heard, samples[round(1.5 * RATE) : round(3.5 * RATE)])
    beyond = clip(tmp_path / "x.wav", start=4.0, end=6.0)
    assert "the file ends at 5.00 s" in measure(beyond, RATE, Trim()).message
    past = clip(tmp_path / "x.wav", start=7.0, end=8.0)
    assert "the file ends before" in measure(past, RATE, Trim()).message


def encoded(samples: np.ndarray, container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, subtype, format=container)
    return stream.getvalue()


def saved(folder: Path, data: bytes) -> Clip:
    (folder / "x.audio").write_bytes(data)
    return clip(folder / "x.audio")


def without_sizes(data: bytes) -> bytes:
    return data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:]


@pytest.mark.parametrize(
    "data",
    [
        without_sizes(encoded(speech(2))),  # as a pipe leaves it
        encoded(speech(1)) + encoded(speech(1, seed=1)),  # joined
        encoded(speech(1), "OGG", "VORBIS") + encoded(speech(1, seed=1), "OGG", "VORBIS"),
        encoded(speech(2)) + b"LIST\x04\0\0\0abcd",  # notes behind the sound
    ],
    ids=["pipe", "joined wav", "joined ogg", "notes"],
)
def test_clip_is_read_to_the_end_as_a_prompt_is(tmp_path: Path, data: bytes) -> None:
    one = saved(tmp_path, data)
    found = measure(one, RATE, Trim())

    assert found.length == 2 * RATE
    np.testing.assert_array_equal(
        signal(one, found, RATE), load_audio(one.recording.path, RATE)[found.first : found.last]
    )


@pytest.mark.parametrize(
    "data",
    [
        encoded(speech(2))[: RATE * 2],
        encoded(speech(2), "FLAC")[:-8000],
        encoded(speech(2), "OGG", "VORBIS")[:-3000],
    ],
    ids=["wav", "flac", "ogg"],
)
def test_clip_that_is_cut_off_is_rejected_but_its_sound_part_is_not(
    tmp_path: Path, data: bytes
) -> None:
    one = saved(tmp_path, data)
    assert measure(one, RATE, Trim()).fault == "cut"
    part = clip(one.recording.path, start=0.1, end=0.7)
    assert measure(part, RATE, Trim()).fault == ""


def test_header_that_states_less_than_the_file_holds_is_a_warning(tmp_path: Path) -> None:
    data = encoded(speech(2))
    short = data[:40] + (RATE).to_bytes(4, "little") + data[44:]
    found = measure(saved(tmp_path, short), RATE, Trim())

    assert found.length == 2 * RATE
    assert next(f.kind for f in audio_findings(found, 2, Limits())) == "audio: header"


def test_joined_clips_of_different_kinds_are_rejected(tmp_path: Path) -> None:
    data = encoded(speech(1)) + encoded(np.stack([speech(1)] * 2, axis=1))
    assert "split it" in measure(saved(tmp_path, data), RATE, Trim()).message


def test_embedded_recording_is_read_as_a_file_is(tmp_path: Path) -> None:
    data = without_sizes(encoded(speech(2)))
    with opened(Path("clips.parquet"), data) as embedded:
        samples = np.concatenate(list(embedded.blocks()))
    with opened(saved(tmp_path, data).recording.path) as file:
        np.testing.assert_array_equal(samples, np.concatenate(list(file.blocks())))


def test_samples_are_rounded_and_cut_at_full_scale() -> None:
    wide = np.array([0, 0.5, 1.5, -1.5, 1e-5], np.float32)
    assert to_int16(wide).tolist() == [0, 16384, 32767, -32768, 0]
