import dataclasses
import platform

import numpy as np
import pytest
import support

from indextts_jax.audio.features import (
    centred,
    filter_bank,
    frame_means,
    log_mel,
    semantic_features,
)
from indextts_jax.config import MelConfig, bundled_config
from indextts_jax.errors import InputError

MEL = bundled_config("tiny").mel
ODD = MelConfig(sample_rate=8009, n_fft=52, window=46, hop=13, mels=7, fmin=31.0, fmax=3001.0)


def noise(samples, scale=0.1, seed=0):
    return (scale * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


@pytest.mark.parametrize(("signal", "prompt"), [("spk_16k", "spk"), ("emo_16k", "emo")])
def test_semantic_features_are_those_of_the_reference(signal, prompt):
    audio = support.golden("audio")
    features, mask = semantic_features(audio[signal][0])

    assert features.dtype == np.float32
    assert mask.dtype == np.int32
    support.assert_close(features[None], audio[f"{prompt}_features"], f"audio.{prompt}_features")
    np.testing.assert_array_equal(mask[None], audio[f"{prompt}_mask"])


def test_filter_banks_are_those_of_the_reference():
    audio = support.golden("audio")
    banks = filter_bank(audio["spk_16k"][0])

    assert banks.dtype == np.float32
    support.assert_close(banks, audio["fbank"], "audio.fbank")
    support.assert_close(centred(banks), audio["fbank_centered"], "audio.fbank_centered")


def test_the_log_mel_is_that_of_the_reference():
    audio = support.golden("audio")
    mel = log_mel(audio["spk_22k"][0], MEL)

    assert mel.dtype == np.float32
    support.assert_close(mel.T[None], audio["ref_mel"], "audio.ref_mel")


@pytest.mark.parametrize(("seconds", "mels", "banks", "pairs"), [
    (3, 258, 298, 149),
    (5, 430, 498, 249),
    (10, 861, 998, 499),
    (15, 1291, 1498, 749),
])  # fmt: skip
def test_frames_of_whole_seconds(seconds, mels, banks, pairs):
    wide, narrow = np.zeros(22050 * seconds, np.float32), np.zeros(16000 * seconds, np.float32)

    assert log_mel(wide, MEL).shape == (mels, 80)
    assert filter_bank(narrow).shape == (banks, 80)
    assert semantic_features(narrow)[0].shape == (pairs, 160)


@pytest.mark.parametrize("samples", [560, 719, 720, 879, 880, 1039, 7013])
def test_odd_frame_fills_half_a_masked_row(samples):
    features, mask = semantic_features(noise(samples))
    frames = 1 + (samples - 400) // 160

    assert len(features) == len(mask) == (frames + 1) // 2
    assert mask[:-1].all()
    assert mask[-1] == 1 - frames % 2
    if frames % 2:
        np.testing.assert_array_equal(features[-1, 80:], np.ones(80))
        assert np.abs(features[-1, :80]).max() > 0


def test_semantic_features_are_normal_in_every_band():
    features, _ = semantic_features(noise(400 + 160 * 99))
    frames = features.reshape(100, 80).astype(np.float64)

    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=3e-5)
    np.testing.assert_allclose(frames.std(axis=0, ddof=1), 1, atol=1e-5)


def naive_energies(signal):
    """Band energies of every frame, from the definitions, one number at a time."""

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    corners = np.linspace(mel(20), mel(8000), 82)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    energies = np.zeros((1 + (len(signal) - 400) // 160, 80))
    for f in range(len(energies)):
        x = signal[160 * f : 160 * f + 400] - signal[160 * f : 160 * f + 400].mean()
        y = np.array([0.03 * x[0]] + [x[n] - 0.97 * x[n - 1] for n in range(1, 400)])
        power = np.abs(turns @ (y * window)) ** 2
        for band in range(80):
            low, centre, high = corners[band : band + 3]
            for k in range(257):
                m = mel(31.25 * k)
                weight = min((m - low) / (centre - low), (high - m) / (high - centre))
                energies[f, band] += max(0, weight) * power[k]
    return energies


def test_both_filter_banks_follow_from_the_definitions():
    signal = noise(400 + 160 * 3 + 17, scale=0.3)
    energies = naive_energies(signal.astype(np.float64))

    np.testing.assert_allclose(filter_bank(signal), np.log(energies), atol=1e-4)
    logs = np.log(energies * 2.0**30)
    normal = (logs - logs.mean(axis=0)) / logs.std(axis=0, ddof=1)
    np.testing.assert_allclose(semantic_features(signal)[0].reshape(4, 80), normal, atol=2e-5)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the order is that of x86"
)
def test_means_are_added_up_in_the_order_of_torch():
    torch = pytest.importorskip("torch")
    frames = noise(400 * 97, scale=1.0).reshape(97, 400)

    np.testing.assert_array_equal(
        frame_means(frames), torch.from_numpy(frames).mean(dim=1, keepdim=True).numpy()
    )


def test_scale_matters_where_the_floor_is_reached_and_nowhere_else():
    loud, quiet = noise(8000, scale=0.1), noise(8000, scale=1e-6)

    assert np.abs(centred(filter_bank(loud)) - centred(filter_bank(loud / 2))).max() < 1e-3
    assert (filter_bank(quiet) == np.float32(np.log(2.0**-23))).mean() > 0.9
    louder, _ = semantic_features(quiet * 1e4)
    np.testing.assert_allclose(semantic_features(quiet)[0], louder, atol=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_a_signal_that_does_not_move_gives_finite_features(level):
    signal = np.full(8000, level, np.float32)

    assert np.isfinite(semantic_features(signal)[0]).all()
    np.testing.assert_array_equal(centred(filter_bank(signal)), np.zeros((48, 80)))
    assert np.isfinite(log_mel(signal, MEL)).all()


@pytest.mark.parametrize("features", [semantic_features, filter_bank])
@pytest.mark.parametrize("samples", [0, 1, 399, 559])
def test_too_short_a_signal_raises(features, samples):
    with pytest.raises(InputError, match=f"^{samples} samples at 16000 Hz are too few"):
        features(noise(samples))


def slaney_hertz(mel):
    return 200 / 3 * mel if mel < 15 else 1000 * np.exp(np.log(6.4) / 27 * (mel - 15))


def slaney_mel(hertz):
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 / np.log(6.4) * np.log(hertz / 1000)


def naive_mel(signal, cfg):
    """The log-mel spectrogram from the definitions, one number at a time."""
    border = (cfg.n_fft - cfg.hop) // 2
    padded = np.concatenate(
        [signal[border:0:-1], signal, signal[-2 : -border - 2 : -1]]
    )  # the sample at the edge is not repeated
    inner = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(cfg.window) / cfg.window)
    side = (cfg.n_fft - cfg.window) // 2
    window = np.concatenate([np.zeros(side), inner, np.zeros(side)])
    bins = cfg.n_fft // 2 + 1
    turns = np.exp(-2j * np.pi * np.outer(np.arange(bins), np.arange(cfg.n_fft)) / cfg.n_fft)
    top = cfg.sample_rate / 2 if cfg.fmax is None else cfg.fmax
    corners = [
        slaney_hertz(mel)
        for mel in np.linspace(slaney_mel(cfg.fmin), slaney_mel(top), cfg.mels + 2)
    ]
    frames = 1 + (len(padded) - cfg.n_fft) // cfg.hop
    mels = np.zeros((frames, cfg.mels))
    for f in range(frames):
        spectrum = turns @ (padded[cfg.hop * f : cfg.hop * f + cfg.n_fft] * window)
        magnitude = np.sqrt(np.abs(spectrum) ** 2 + 1e-9)
        for band in range(cfg.mels):
            low, centre, high = corners[band : band + 3]
            for k in range(bins):
                hertz = k * cfg.sample_rate / cfg.n_fft
                weight = min((hertz - low) / (centre - low), (high - hertz) / (high - centre))
                mels[f, band] += max(0, weight) * 2 / (high - low) * magnitude[k]
    return np.log(np.maximum(mels, 1e-5))


@pytest.mark.parametrize("fmax", [3001.0, None])
def test_the_log_mel_follows_from_the_definitions(fmax):
    cfg = dataclasses.replace(ODD, fmax=fmax)
    signal = noise(211, scale=0.3)

    np.testing.assert_allclose(log_mel(signal, cfg), naive_mel(signal, cfg), atol=2e-5)


@pytest.mark.parametrize("samples", [385, 511, 512, 513, 22050, 22271])
def test_every_whole_hop_is_a_frame(samples):
    assert len(log_mel(noise(samples), MEL)) == samples // 256


def test_a_signal_too_short_to_be_reflected_raises():
    with pytest.raises(InputError, match=r"^384 samples at 22050 Hz are too few"):
        log_mel(noise(384), MEL)


def test_silence_is_the_floor():
    mel = log_mel(np.zeros(4096, np.float32), MEL)

    np.testing.assert_allclose(mel, np.log(1e-5), atol=1e-6)


@pytest.mark.parametrize("samples", [560, 16000, 16160, 40009])
def test_semantic_features_are_those_of_transformers(samples):
    transformers = pytest.importorskip("transformers")
    extractor = transformers.SeamlessM4TFeatureExtractor(
        feature_size=80, num_mel_bins=80, sampling_rate=16000, stride=2, padding_value=1
    )
    signal = noise(samples, seed=samples)
    given = extractor(signal[None], sampling_rate=16000, return_tensors="np")
    features, mask = semantic_features(signal)

    support.assert_close(features[None], given["input_features"], "audio.transformers")
    np.testing.assert_array_equal(mask[None], given["attention_mask"])
