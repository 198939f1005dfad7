"""A convolution over time whose gradient is computed as matrix products.

In the body of a scan, XLA for CPU compiles the gradient of a convolution's kernel to scalar code,
fifty times slower than these products.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from indextts_jax.layers.correlation import correlate

Padding = tuple[int, int]  # zero frames before and after


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(
    x: Float[Array, "b t i"], kernel: Float[Array, "k i o"], padding: Padding, dilation: int
) -> Float32[Array, "b s o"]:
    """The cross-correlation with stride 1."""
    return _derivable(x, kernel, padding, dilation)


def _derivable(x: Array, kernel: Array, padding: Padding, dilation: int) -> Array:
    return correlate(x, kernel, padding=padding, dilation=dilation)


def _forward(
    x: Array, kernel: Array, padding: Padding, dilation: int
) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, padding, dilation), (x, kernel)


def _backward(
    padding: Padding, dilation: int, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    given = padding, dilation
    by_tap, derived = functools.partial(_by_tap, *given), functools.partial(_derived, *given)
    found: tuple[Array, Array] = lax.platform_dependent(
        *saved, gradient, cpu=by_tap, default=derived
    )
    return found


def _derived(
    padding: Padding, dilation: int, x: Array, kernel: Array, gradient: Array
) -> tuple[Array, Array]:
    """The gradients as other devices compute them."""
    run = functools.partial(_derivable, padding=padding, dilation=dilation)
    dx, taps = jax.vjp(run, x, kernel)[1](gradient)
    return dx, taps


def _by_tap(
    padding: Padding, dilation: int, x: Array, kernel: Array, gradient: Array
) -> tuple[Array, Array]:
    """Gradients of input and kernel, with one matrix product for each tap."""
    size, made = x.shape[1], gradient.shape[1]
    reach = dilation * (len(kernel) - 1)
    wide = jnp.pad(x, ((0, 0), padding, (0, 0)))
    far = jnp.pad(gradient, ((0, 0), (reach, reach), (0, 0)))
    dx, taps = jnp.zeros((), jnp.float32), []
    for number, tap in enumerate(kernel):
        seen = lax.slice_in_dim(wide, number * dilation, number * dilation + made, axis=1)
        taps.append(jnp.einsum("bti,bto->io", seen, gradient))
        start = reach + padding[0] - number * dilation
        dx += jnp.matmul(lax.slice_in_dim(far, start, start + size, axis=1), tap.T)
    return dx.astype(x.dtype), jnp.stack(taps).astype(kernel.dtype)


convolve.defvjp(_forward, _backward)
