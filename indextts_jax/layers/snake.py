"""SnakeBeta between an upsampling and a downsampling filter, so that its harmonics do not alias."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.layers.parameters import Table
from indextts_jax.layers.training import snake_gradient
from indextts_jax.layers.training.snake_gradient import filtered

TAPS = 12  # of both low-pass filters
EDGE = 3  # samples to either side that one phase of a filter reaches
REACH = 2 * EDGE - 1  # samples to either side that an activation reads
CUTOFF = 0.25  # fraction of the doubled sample rate: the Nyquist frequency of the signal
HALF_WIDTH = 0.3  # half width of the transition band, the same fraction
DIVISOR_EPS = 1e-9  # added to beta, the divisor
# pi / 2 as a sum of three parts (Cody-Waite): the first two have few bits, so that their products
# with small integers are exact.
HALF_PI = (1.5703125, 4.837512969970703e-4, 7.549789948768648e-8)
SINE = (-0.16666655242443085, 0.008332155644893646, -0.0001951463200384751)  # of r**3, r**5, r**7


def low_pass() -> Float32[np.ndarray, " 12"]:
    """The taps of the low-pass filter: a Kaiser-windowed sinc that sums to one.

    Source: `kaiser_sinc_filter1d` of the PyTorch release, whose files hold the same numbers.
    """
    attenuation = 2.285 * (TAPS // 2 - 1) * np.pi * (4 * HALF_WIDTH) + 7.95  # dB, above 50 here
    window = np.kaiser(TAPS, 0.1102 * (attenuation - 8.7))
    time = np.arange(TAPS) - (TAPS - 1) / 2
    taps = window * np.sinc(2 * CUTOFF * time)
    return (taps / taps.sum()).astype(np.float32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factor:
    """What a channel is multiplied by, made of its stored parameter when a model is loaded.

    `alpha` becomes the factor of the angle, `beta` that of the squared sine.
    """

    values: Any  # (c), an array or an abstract one

    @classmethod
    def of_alpha(cls, alpha: Float32[Array, " c"], log_scale: bool) -> "Factor":
        return cls(jnp.exp(alpha) if log_scale else alpha)

    @classmethod
    def of_beta(cls, beta: Float32[Array, " c"], log_scale: bool) -> "Factor":
        return cls(1 / ((jnp.exp(beta) if log_scale else beta) + DIVISOR_EPS))


class AntiAliasedSnake(nnx.Module):
    """Upsampling by two, SnakeBeta, downsampling by two: `x + sin(a x)^2 / b` for each channel.

    Polyphase: each filter is split into its two phases, so that nothing runs at the doubled rate or
        multiplies by the zeros of upsampling; `even` and `odd` are the upsampled signal's samples.
        Everything is float32, whatever the dtype of `x`. As in the reference, a row is extended by
        repeating its edge samples, before the first filter and again (activated) before the second.

    Source: `Activation1d` and `SnakeBeta` of the PyTorch release.
    """

    def __init__(self, channels: int, *, log_scale: bool, rngs: nnx.Rngs):
        self.log_scale = log_scale
        start = jnp.zeros(channels) if log_scale else jnp.ones(channels)
        # Tables, not weights: rounded to half precision they would shift the phase of every sine.
        self.alpha = Table(start)
        self.beta = Table(start)

    def __call__(
        self, x: Float[Array, "b n c"], lengths: Int[Array, " b"] | None
    ) -> Float32[Array, "b n c"]:
        """Samples past a row's length are undefined; without lengths (training) all are valid."""
        if lengths is None:
            return _whole(x.astype(jnp.float32), *self._scales())
        size = x.shape[1]
        end = jnp.maximum(lengths, 1)  # index of the first padding sample
        taps = low_pass()

        x = x.astype(jnp.float32)
        wide = jnp.pad(x, ((0, 0), (2 * EDGE, 2 * EDGE), (0, 0)))
        wide = _ending(wide, x[:, :1], _at(x, end - 1), 2 * EDGE, end + 2 * EDGE)
        even = self._snake(2 * filtered(wide[:, 1:], taps[0::2]))  # starts at sample 1 - EDGE
        odd = self._snake(2 * filtered(wide[:, 1:], taps[1::2]))  # starts at sample -EDGE

        # Edge samples of the upsampled signal, which has its first in `even` and its last in `odd`:
        # both phases are extended with both.
        first, last = even[:, EDGE - 1 : EDGE], _at(odd, end - 1 + EDGE)
        even = _ending(even, first, last, EDGE - 1, end + EDGE - 1)
        odd = _ending(odd, first, last, EDGE, end + EDGE)
        read = size + 2 * EDGE - 1
        return filtered(even[:, :read], taps[1::2]) + filtered(odd[:, :read], taps[0::2])

    def _snake(self, x: Float32[Array, "b n c"]) -> Float32[Array, "b n c"]:
        alpha, beta = self.alpha.get_value(), self.beta.get_value()
        if not isinstance(alpha, Factor):
            alpha = Factor.of_alpha(alpha, self.log_scale)
        if not isinstance(beta, Factor):
            beta = Factor.of_beta(beta, self.log_scale)
        return x + beta.values * squared_sine(alpha.values * x)

    def _scales(self) -> tuple[Float32[Array, " c"], Float32[Array, " c"]]:
        alpha, beta = self.alpha[...], self.beta[...]
        if self.log_scale:
            alpha, beta = jnp.exp(alpha), jnp.exp(beta)
        return alpha, beta


def squared_sine(x: Float32[Array, "*b"]) -> Float32[Array, "*b"]:
    """The square of the sine, with an error of 1.3e-7 for arguments up to 1e4 (1e-6 up to 1e5).

    As exact in that range as `jnp.sin` squared, which is several times slower on a CPU, because it
    handles any argument. These are two dozen operations, which XLA fuses with the surrounding code.
    The polynomial is the best one of three terms on [-pi / 4, pi / 4].
    """
    sine, even = _reduced_sine(x)
    square = sine * sine
    return jnp.where(even, square, 1 - square)


def doubled_sine(x: Float32[Array, "*b"]) -> Float32[Array, "*b"]:
    """The sine of the doubled angle, the derivative of `squared_sine`; equally accurate."""
    sine, even = _reduced_sine(x)
    double = 2 * sine * jnp.sqrt(1 - sine * sine)  # cos > 0 within pi / 4
    return jnp.where(even, double, -double)


def _reduced_sine(
    x: Float32[Array, "*b"],
) -> tuple[Float32[Array, "*b"], Bool[Array, "*b"]]:
    """Sine of the angle minus its nearest multiple of pi / 2, and whether that multiple is even."""
    quarters = jnp.round(x * np.float32(2 / np.pi))
    for part in HALF_PI:
        x = x - quarters * np.float32(part)
    z = x * x
    sine = x + x * z * (SINE[0] + z * (SINE[1] + z * SINE[2]))
    return sine, jnp.floor(0.5 * quarters) == 0.5 * quarters


def _at(x: Float[Array, "b n c"], index: Int[Array, " b"]) -> Float[Array, "b 1 c"]:
    return jnp.take_along_axis(x, index[:, None, None], axis=1, mode="clip")


def _ending(
    x: Float[Array, "b n c"],
    first: Float[Array, "b 1 c"],
    last: Float[Array, "b 1 c"],
    start: int,
    end: Int[Array, " b"],
) -> Float[Array, "b n c"]:
    """`x` with `first` in all samples before `start`, and `last` in `EDGE` samples from `end` on.

    Writes a few samples in place. XLA would fuse a concatenation or a `where` into the surrounding
    sums, and make them five times as slow on a CPU; on a GPU it would be more kernels and bytes.
    """
    channels = x.shape[2]
    x = lax.dynamic_update_slice(x, jnp.broadcast_to(first, (len(x), start, channels)), (0, 0, 0))
    after = jnp.broadcast_to(last, (len(x), EDGE, channels))
    if len(x) == 1:
        return lax.dynamic_update_slice(x, after, (0, end[0], 0))
    write = functools.partial(lax.dynamic_update_slice_in_dim, axis=0)
    return jax.vmap(write)(x, after, end)


_whole = snake_gradient.make(low_pass(), squared_sine, doubled_sine, DIVISOR_EPS)
