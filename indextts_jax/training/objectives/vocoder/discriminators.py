"""Multi-period and spectral discriminators of waveforms, used only in training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Key

from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.parameters import uniform
from indextts_jax.layers.training.sums import add_bias
from indextts_jax.models.components import Params
from indextts_jax.training.objectives.vocoder.options import DiscriminatorOptions
from indextts_jax.training.objectives.vocoder.spectra import magnitudes

SLOPE = 0.1  # negative slope of the leaky ReLU
EPS = 1e-9  # added to squared magnitudes


class Judgement(NamedTuple):
    """The outputs of one discriminator; rows are the first axis of all arrays."""

    score: Array  # any number of scores per row: 1 is real, 0 is fake
    features: tuple[Array, ...]  # outputs of all layers; the scores are last


class Conv2d(nnx.Module):
    """A zero-padded 2-D convolution with a stride over the first axis."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], *, stride: int, rngs: nnx.Rngs
    ):
        self.stride = stride
        fan_in = inputs * size[0] * size[1]
        self.kernel = uniform(rngs, (*size, inputs, outputs), fan_in)
        self.bias = uniform(rngs, (outputs,), fan_in)

    def __call__(self, x: Float[Array, "b t m i"]) -> Float[Array, "b s m o"]:
        kernel = self.kernel[...]
        y = lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, 1),
            padding=[(size // 2, size // 2) for size in kernel.shape[:2]],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.float32,
        )
        return add_bias(y, self.bias[...])


class PeriodDiscriminator(nnx.Module):
    """Scores every `period`-th sample, for each offset.

    Source: the multi-period discriminator of HiFi-GAN.
    """

    def __init__(self, period: int, widths: tuple[int, ...], rngs: nnx.Rngs):
        self.period = period
        strides = [*[3] * (len(widths) - 1), 1]
        self.layers = nnx.List(
            [
                Conv1d(before, after, 5, stride=stride, padding=(2, 2), rngs=rngs)
                for before, after, stride in zip((1, *widths), widths, strides, strict=False)
            ]
        )
        self.out = Conv1d(widths[-1], 1, 3, rngs=rngs)

    def __call__(self, x: Float[Array, "b n"]) -> Judgement:
        rows = len(x)
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % self.period)), mode="reflect")
        # Each offset becomes a row: the kernels do not mix offsets.
        y = x.reshape(rows, -1, self.period).swapaxes(1, 2).reshape(rows * self.period, -1, 1)
        features = []
        for layer in self.layers:
            y = jax.nn.leaky_relu(layer(y), SLOPE)
            features.append(y.reshape(rows, self.period, *y.shape[1:]))
        y = self.out(y).reshape(rows, self.period, -1, 1)
        return Judgement(y, (*features, y))


class SpectrumDiscriminator(nnx.Module):
    """Scores the magnitudes of a short-time spectrum with a hop of a quarter window.

    Source: the multi-resolution discriminator of UnivNet; its window is rectangular, ours is Hann.
    """

    def __init__(self, window: int, width: int, rngs: nnx.Rngs):
        self.window = window
        shapes = [((9, 3), 1), ((9, 3), 2), ((9, 3), 2), ((9, 3), 2), ((3, 3), 1)]
        self.layers = nnx.List(
            [
                Conv2d(width if i else 1, width, size, stride=stride, rngs=rngs)
                for i, (size, stride) in enumerate(shapes)
            ]
        )
        self.out = Conv2d(width, 1, (3, 3), stride=1, rngs=rngs)

    def __call__(self, x: Float[Array, "b n"]) -> Judgement:
        hop = self.window // 4
        y = magnitudes(x, self.window, hop, border=(self.window - hop) // 2, eps=EPS)[..., None]
        features = []
        for layer in self.layers:
            y = jax.nn.leaky_relu(layer(y), SLOPE)
            features.append(y)
        y = self.out(y)
        return Judgement(y, (*features, y))


class Discriminators(nnx.Module):
    """All discriminators of a recipe."""

    def __init__(self, options: DiscriminatorOptions, *, rngs: nnx.Rngs):
        widths = options.period_widths
        self.periods = nnx.List([PeriodDiscriminator(p, widths, rngs) for p in options.periods])
        self.spectra = nnx.List(
            [SpectrumDiscriminator(w, options.window_width, rngs) for w in options.windows]
        )

    def __call__(self, x: Float[Array, "b n"]) -> tuple[Judgement, ...]:
        return tuple(judge(x) for judge in (*self.periods, *self.spectra))


def draw(options: DiscriminatorOptions, key: Key[Array, ""]) -> Params:
    """Initialises discriminators."""
    module = Discriminators(options, rngs=nnx.Rngs(key))
    params: Params = nnx.to_pure_dict(nnx.split(module)[1])
    return params


def row_means(x: Array) -> Float[Array, " b"]:
    """The mean of each row."""
    return jnp.mean(x.reshape(len(x), -1), axis=1)


def real_losses(judgements: tuple[Judgement, ...]) -> Float[Array, " b"]:
    """Least-squares distance of a row's scores from 1 (real), summed over discriminators."""
    losses = [row_means(jnp.square(1 - judged.score)) for judged in judgements]
    return jnp.sum(jnp.stack(losses), axis=0)


def fake_losses(judgements: tuple[Judgement, ...]) -> Float[Array, " b"]:
    """Least-squares distance of a row's scores from 0 (fake), summed over discriminators."""
    losses = [row_means(jnp.square(judged.score)) for judged in judgements]
    return jnp.sum(jnp.stack(losses), axis=0)


def feature_distances(
    real: tuple[Judgement, ...], fake: tuple[Judgement, ...]
) -> Float[Array, " b"]:
    """Feature matching: mean differences of features, summed over layers and discriminators."""
    losses = [
        row_means(jnp.abs(a - b))
        for ours, theirs in zip(real, fake, strict=True)
        for a, b in zip(ours.features, theirs.features, strict=True)
    ]
    return jnp.sum(jnp.stack(losses), axis=0)
