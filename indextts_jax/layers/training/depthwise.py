"""A depthwise convolution as a sum of shifted products, with a custom gradient.

With the derived gradient, XLA for CPU fuses the producers of the operands into each tap's sum over
time, and so recomputes them for every tap: the backward pass takes eight times as long.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from indextts_jax.layers.training.sums import channel_sums

Signal = Float[Array, "b t c"]
Taps = Float32[Array, "k c"]


@jax.custom_vjp
def depthwise(x: Signal, taps: Taps) -> Float32[Array, "b s c"]:
    """Each channel of `x` correlated with its own taps, without padding."""
    length = x.shape[1] - len(taps) + 1
    return jnp.asarray(
        sum(lax.slice_in_dim(x, i, i + length, axis=1) * tap for i, tap in enumerate(taps))
    )


def _forward(x: Array, taps: Array) -> tuple[Array, tuple[Array, Array]]:
    return depthwise(x, taps), (x, taps)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, taps = saved
    reach = len(taps) - 1
    wide = jnp.pad(gradient, ((0, 0), (reach, reach), (0, 0)))
    dx = depthwise(wide, taps[::-1])
    dtaps = lax.platform_dependent(x, gradient, cpu=_in_turn, default=_at_once)
    return dx.astype(x.dtype), dtaps


def _seen(x: Array, tap: int | Array, gradient: Array) -> Array:
    """The products that a tap's gradient sums."""
    return lax.dynamic_slice_in_dim(x, tap, gradient.shape[1], axis=1) * gradient


def _in_turn(x: Array, gradient: Array) -> Float32[Array, "k c"]:
    """The taps' gradients in a loop, so that XLA stores the operands once."""
    taps = jnp.arange(x.shape[1] - gradient.shape[1] + 1)
    return lax.map(lambda tap: channel_sums(_seen(x, tap, gradient)), taps)


def _at_once(x: Array, gradient: Array) -> Float32[Array, "k c"]:
    """The same without a loop, for other devices."""
    taps = range(x.shape[1] - gradient.shape[1] + 1)
    return jnp.stack([jnp.sum(_seen(x, tap, gradient), axis=(0, 1)) for tap in taps])


depthwise.defvjp(_forward, _backward)
