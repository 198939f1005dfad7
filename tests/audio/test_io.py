import math

import numpy as np
import pytest
import soundfile
import soxr
import support

from indextts_jax.audio import io
from indextts_jax.audio import recording as recordings
from indextts_jax.audio.io import load_audio, resample, resampled_length
from indextts_jax.errors import InputError


def noise(samples, channels=1, seed=0):
    values = 0.1 * np.random.default_rng(seed).normal(size=(samples, channels))
    return values.astype(np.float32)


def tone(samples, rate, hertz=440.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype(np.float32)


def recording(folder, samples, rate, name="clip.wav", subtype=None):
    path = folder / name
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def whole(path, rate):
    """The whole file at another rate, with the length rule of librosa."""
    with soundfile.SoundFile(path) as file:  # `soundfile.read` seeks, which changes MP3 by 6e-8
        native, mono = file.samplerate, file.read(dtype="float32", always_2d=True).mean(axis=1)
    made = mono if native == rate else soxr.resample(mono, native, rate, quality="HQ")
    size = math.ceil(len(mono) * rate / native)
    return np.pad(made, (0, max(0, size - len(made))))[:size]


def test_the_prompts_are_those_of_the_reference():
    audio = support.golden("audio")
    speaker = load_audio(support.TINY / "speaker.wav", 22050)
    emotion = load_audio(support.TINY / "emotion.wav", 16000)  # stereo

    assert speaker.dtype == emotion.dtype == np.float32
    support.assert_close(speaker[None], audio["spk_22k"], "audio.spk_22k")
    support.assert_close(emotion[None], audio["emo_16k"], "audio.emo_16k")


def test_the_second_resampling_is_that_of_the_reference():
    audio = support.golden("audio")
    narrow = resample(audio["spk_22k"][0], 22050, 16000)

    assert narrow.dtype == np.float32
    support.assert_close(narrow[None], audio["spk_16k"], "audio.spk_16k")


def test_the_two_routes_to_16_khz_differ():
    twice = resample(load_audio(support.TINY / "speaker.wav", 22050), 22050, 16000)
    once = load_audio(support.TINY / "speaker.wav", 16000)
    size = min(len(once), len(twice))
    rms, _ = support.relative_errors(once[:size], twice[:size])

    assert abs(len(once) - len(twice)) <= 1
    assert 1e-3 < rms < 1e-1


@pytest.mark.parametrize("rate", [16000, 22050])
@pytest.mark.parametrize("native", [8000, 11025, 16000, 22050, 44056, 48000, 192000])
def test_trimmed_recording_is_a_prefix(tmp_path, native, rate):
    path = recording(tmp_path, noise(int(6.137 * native)), native)
    cut = load_audio(path, rate, seconds=1.5)

    assert len(cut) == int(1.5 * rate)
    np.testing.assert_array_equal(cut, whole(path, rate)[: len(cut)])


@pytest.mark.parametrize("native", [16000, 44100])
@pytest.mark.parametrize("extra", [0, 1, 2, 13, 441])
def test_a_short_recording_is_as_long_as_its_samples_rounded_up(tmp_path, native, extra):
    samples = native + extra
    path = recording(tmp_path, noise(samples), native)
    signal = load_audio(path, 22050)

    assert len(signal) == math.ceil(samples * 22050 / native)
    np.testing.assert_array_equal(signal, whole(path, 22050))


def test_first_fifteen_seconds_are_used(tmp_path):
    path = recording(tmp_path, noise(16 * 8000), 8000)

    assert len(load_audio(path, 22050)) == 330750
    assert len(load_audio(path, 16000)) == 240000


def test_samples_far_past_the_end_are_not_read(tmp_path):
    samples = noise(40000)
    samples[30000:] = np.nan
    path = recording(tmp_path, samples, 8000, subtype="FLOAT")

    assert np.isfinite(load_audio(path, 16000, seconds=1.0)).all()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_later_part_is_that_of_the_whole_recording(tmp_path, name):
    path = recording(tmp_path, noise(5 * 16000, 2), 16000, name)
    part = load_audio(path, 16000, seconds=1.5, start=2.3)

    assert len(part) == 24000
    np.testing.assert_allclose(part, whole(path, 16000)[36800 : 36800 + 24000], atol=1e-6)


def test_stored_samples_are_returned(tmp_path):
    path = recording(tmp_path, noise(5 * 8000), 8000)
    samples, rate, *_ = io.load_as_stored(path, 1.5, 2.0)

    assert rate == 8000
    np.testing.assert_array_equal(samples, load_audio(path, 8000, 1.5, 2.0))


def test_late_damage_is_located(tmp_path):
    samples = noise(5 * 8000)
    samples[4 * 8000] = np.nan
    path = recording(tmp_path, samples, 8000, subtype="FLOAT")

    with pytest.raises(InputError, match=r"a sample of nan at 4\.000 s"):
        load_audio(path, 16000, start=2.0)
    for start in (4.75, 60.0):
        with pytest.raises(InputError, match=rf"holds 0(\.25)?(\.0)? s from second {start:g} on;"):
            load_audio(path, 16000, start=start)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16")],
)
def test_lossless_formats_hold_the_samples(tmp_path, name, subtype):
    samples = np.round(noise(8000) * 2**15) / 2**15  # exact in 16 bits
    path = recording(tmp_path, samples, 16000, name, subtype)

    np.testing.assert_array_equal(load_audio(path, 16000), samples[:, 0])


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_formats_are_read(tmp_path, name):
    samples = tone(16000, 16000)
    signal = load_audio(recording(tmp_path, samples, 16000, name), 16000)
    spectrum = np.abs(np.fft.rfft(signal[2000:14000]))

    assert 16000 <= len(signal) <= 17000
    assert np.argmax(spectrum) == 440 * 12000 // 16000
    np.testing.assert_allclose(np.sqrt(np.mean(signal[2000:14000] ** 2)), 0.3 / 2**0.5, rtol=0.02)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_prefix_is_independent_of_read_length(tmp_path, name):
    path = recording(tmp_path, noise(5 * 16000, 2), 16000, name)
    cut = load_audio(path, 22050, seconds=1.0)

    np.testing.assert_array_equal(cut, whole(path, 22050)[: len(cut)])


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
def test_channels_are_averaged(tmp_path, channels):
    samples = noise(12000, channels)
    path = recording(tmp_path, samples, 16000, subtype="FLOAT")

    assert np.abs(load_audio(path, 16000) - samples.mean(axis=1)).max() < 2e-8


def test_many_channels_are_averaged_in_blocks(tmp_path, monkeypatch):
    path = recording(tmp_path, noise(12000, 7), 16000, subtype="FLOAT")
    at_once = load_audio(path, 22050)
    monkeypatch.setattr(recordings, "BLOCK", 7001)

    np.testing.assert_array_equal(load_audio(path, 22050), at_once)


def test_length_in_message_is_rounded_down(tmp_path):
    path = recording(tmp_path, noise(11999), 24000)
    with pytest.raises(InputError, match=r"is 0.49 s long; a prompt needs at least 0.5 s"):
        load_audio(path, 16000)


def test_raw_samples_are_rejected(tmp_path):
    noise(8000).tofile(tmp_path / "prompt.raw")
    with pytest.raises(InputError, match="is not audio that can be read"):
        load_audio(tmp_path / "prompt.raw", 16000)


def test_half_a_second_is_enough(tmp_path):
    path = recording(tmp_path, noise(12000), 24000)

    assert len(load_audio(path, 16000)) == 8000


def direct_resample(signal, rate_in, rate_out, size):
    """Every output sample as a sum over all input samples."""
    cutoff = 0.99 * min(rate_in, rate_out)
    times = np.arange(size) / rate_out
    crossings = cutoff * (np.arange(len(signal)) / rate_in - times[:, None])
    window = np.where(np.abs(crossings) < 6, np.cos(np.pi * crossings / 12) ** 2, 0)
    return (np.sinc(crossings) * window) @ signal * cutoff / rate_in


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(22050, 16000), (16000, 22050), (7, 5), (5, 7), (48000, 16000)]
)
@pytest.mark.parametrize("samples", [1, 2, 61, 997])
def test_the_sinc_resampler_is_a_sum_over_the_input(rate_in, rate_out, samples):
    signal = noise(samples)[:, 0]
    made = resample(signal, rate_in, rate_out)

    assert len(made) == math.ceil(samples * rate_out / rate_in)
    direct = direct_resample(signal.astype(np.float64), rate_in, rate_out, len(made))
    # The reference's float32 phases move the taps by up to 7e-6 each.
    np.testing.assert_allclose(made, direct, atol=2e-5 * np.abs(signal).max())


def test_equal_rates_leave_the_signal_as_it_is():
    signal = noise(101)[:, 0]

    np.testing.assert_array_equal(resample(signal, 16000, 16000), signal)
    np.testing.assert_array_equal(io.soxr_resample(signal, 22050, 22050), signal)


def test_the_resampled_length_goes_through_float32():
    exact = -(-320 * np.arange(1, 330751) // 441)
    ours = np.array([resampled_length(n, 22050, 16000) for n in range(1, 330751)])
    short = np.flatnonzero(ours != exact) + 1

    assert len(short) == 1226
    assert short[0] == 90569
    assert (exact[short - 1] - ours[short - 1] == 1).all()


@pytest.mark.parametrize(("samples", "size"), [(90568, 65719), (90569, 65719), (90570, 65720)])
def test_the_resampled_signal_has_the_length_of_the_reference(samples, size):
    assert len(resample(np.zeros(samples, np.float32), 22050, 16000)) == size
