import functools

import jax
import numpy as np
import pytest
from flax import nnx

from indextts_jax.training.objectives.vocoder import discriminators
from indextts_jax.training.objectives.vocoder.discriminators import Judgement

WIDTHS = (2, 3, 5)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@functools.cache
def period():
    return discriminators.PeriodDiscriminator(3, WIDTHS, nnx.Rngs(0))


@functools.cache
def spectrum():
    return discriminators.SpectrumDiscriminator(16, 3, nnx.Rngs(0))


def run(judge, x):
    graph, state = nnx.split(judge)
    return jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x)


def test_period_discriminator_equals_the_pytorch_formula():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = noise(2, 61)

    ours = run(period(), x)

    y = functional.pad(torch.from_numpy(x)[:, None], (0, 2), "reflect").view(2, 1, 21, 3)
    features = []
    for layer, stride in zip(period().layers, (3, 3, 1), strict=True):
        weight = torch.from_numpy(np.array(layer.kernel).transpose(2, 1, 0)[..., None])
        bias = torch.from_numpy(np.array(layer.bias))
        y = functional.leaky_relu(
            functional.conv2d(y, weight, bias, stride=(stride, 1), padding=(2, 0)), 0.1
        )
        features.append(y)
    weight = torch.from_numpy(np.array(period().out.kernel).transpose(2, 1, 0)[..., None])
    bias = torch.from_numpy(np.array(period().out.bias))
    features.append(functional.conv2d(y, weight, bias, padding=(1, 0)))
    assert len(ours.features) == len(features)
    for mine, theirs in zip(ours.features, features, strict=True):  # b p t c, b c t p
        np.testing.assert_allclose(mine, theirs.numpy().transpose(0, 3, 2, 1), atol=1e-6)


def test_spectrum_discriminator_equals_the_pytorch_formula():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = noise(2, 64)

    ours = run(spectrum(), x)

    padded = functional.pad(torch.from_numpy(x)[:, None], (6, 6), "reflect")[:, 0]
    y = torch.stft(
        padded, 16, 4, window=torch.hann_window(16), center=False, return_complex=True
    ).abs()[:, None]  # b 1 m t
    features = []
    layers = [*spectrum().layers, spectrum().out]
    for i, (layer, stride) in enumerate(zip(layers, (1, 2, 2, 2, 1, 1), strict=True)):
        weight = torch.from_numpy(np.array(layer.kernel).transpose(3, 2, 1, 0))
        bias = torch.from_numpy(np.array(layer.bias))
        padding = (weight.shape[2] // 2, weight.shape[3] // 2)
        y = functional.conv2d(y, weight, bias, stride=(1, stride), padding=padding)
        y = y if i == len(layers) - 1 else functional.leaky_relu(y, 0.1)
        features.append(y)
    assert len(ours.features) == len(features)
    for mine, theirs in zip(ours.features, features, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy().transpose(0, 3, 2, 1), atol=1e-5)


def judgements(seed):
    shapes = [(2, 3, 4, 1), (2, 5, 7, 1)]
    return tuple(
        Judgement(noise(*shape, seed=seed + i), (noise(2, 3, seed=seed + 9), noise(*shape, seed=i)))
        for i, shape in enumerate(shapes)
    )


def test_losses_are_least_squares_and_mean_differences():
    real, fake = judgements(1), judgements(2)

    expected_real = sum(((1 - j.score) ** 2).mean(axis=(1, 2, 3)) for j in real)
    expected_fake = sum((j.score**2).mean(axis=(1, 2, 3)) for j in fake)
    expected = sum(
        np.abs(a - b).reshape(2, -1).mean(axis=1)
        for j, k in zip(real, fake, strict=True)
        for a, b in zip(j.features, k.features, strict=True)
    )

    np.testing.assert_allclose(discriminators.real_losses(real), expected_real, rtol=1e-5)
    np.testing.assert_allclose(discriminators.fake_losses(fake), expected_fake, rtol=1e-5)
    np.testing.assert_allclose(discriminators.feature_distances(real, fake), expected, rtol=1e-5)
