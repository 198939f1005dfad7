import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.audio import features
from indextts_jax.config import bundled_config
from indextts_jax.training.objectives.vocoder import mel_loss, spectra

RATE = 22050


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_distance_equals_the_pytorch_formula():
    torch = pytest.importorskip("torch")
    x, y = noise(2, 700), noise(2, 700, seed=1)
    scales = [(32, 5), (64, 10), (128, 20), (256, 40), (512, 80)]  # 1024 does not fit

    def bands(signal, size, mels):
        spectrum = torch.stft(
            torch.from_numpy(signal),
            size,
            size // 4,
            window=torch.hann_window(size),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        ).abs()
        cfg = features.MelConfig(
            sample_rate=RATE, n_fft=size, window=size, hop=1, mels=mels, fmin=0, fmax=None
        )
        bank = torch.from_numpy(features.mel_bank(cfg).astype(np.float32))
        return torch.log10(torch.clamp(bank.T @ spectrum, min=1e-5))

    expected = [
        sum(
            torch.nn.functional.l1_loss(bands(a[None], *scale), bands(b[None], *scale)).item()
            for scale in scales
        )
        for a, b in zip(x, y, strict=True)
    ]

    assert mel_loss.scales(700) == tuple(scales)
    ours = jax.jit(mel_loss.mel_distances, static_argnums=2)(x, y, RATE)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_equal_signals_have_no_distance():
    x = noise(1, 80)

    np.testing.assert_array_equal(mel_loss.mel_distances(x, x, RATE), 0)


def test_silence_has_a_finite_gradient():
    x, silence = noise(1, 80), jnp.zeros((1, 80))

    gradient = jax.grad(lambda s: mel_loss.mel_distances(s, x, RATE).sum())(silence)

    assert np.isfinite(gradient).all()


def test_log_mel_is_that_of_the_host():
    cfg = bundled_config("mini").mel
    x = noise(3000)

    ours = jax.jit(spectra.log_mel, static_argnums=1)(x[None], cfg)[0]

    np.testing.assert_allclose(ours, features.log_mel(x, cfg), atol=2e-4)


@pytest.mark.parametrize("size", [16, 512])
def test_powers_are_those_of_a_fourier_transform(size):
    x = noise(1, 3, size)

    expected = np.abs(np.fft.rfft(x.astype(np.float64))) ** 2

    np.testing.assert_allclose(spectra.powers(x), expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("size", "hop"), [(8, 2), (8, 3)])
def test_frames_are_runs_of_samples(size, hop):
    x = np.arange(23.0)[None]

    ours = spectra.frames(x, size, hop)

    expected = np.lib.stride_tricks.sliding_window_view(x[0], size)[::hop]
    np.testing.assert_array_equal(ours[0], expected)
