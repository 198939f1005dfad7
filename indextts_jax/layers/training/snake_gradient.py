"""The anti-aliased SnakeBeta of unpadded signals, with a custom gradient, for training.

The gradients of alpha and beta are sums over time. With derived gradients, XLA for CPU recomputes
the filters inside each of these sums: the backward pass takes five times as long. `channel_sums`
prevents that.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32

from indextts_jax.layers.training.sums import channel_sums

Signal = Float32[Array, "b n c"]
Other = Float32[Array, "b s c"]  # a signal of another length
Edge = Float32[Array, "b 1 c"]
Channels = Float32[Array, " c"]


def filtered(x: Signal, taps: Float32[np.ndarray, " k"]) -> Other:
    """A FIR filter as a sum of shifted slices, which XLA can fuse, unlike a convolution."""
    size = x.shape[1] - len(taps) + 1
    return sum(
        (lax.slice_in_dim(x, i, i + size, axis=1) * tap for i, tap in enumerate(taps)),
        start=jnp.zeros((), x.dtype),
    )


def repeated(x: Signal, before: int, after: int, first: Edge, last: Edge) -> Other:
    """`x` with `first` and `last` repeated at its ends.

    Written in place: XLA would fuse a concatenation into the surrounding sums and slow them down.
    """
    batch, size, channels = x.shape
    x = jnp.pad(x, ((0, 0), (before, after), (0, 0)))
    head = jnp.broadcast_to(first, (batch, before, channels))
    tail = jnp.broadcast_to(last, (batch, after, channels))
    x = lax.dynamic_update_slice(x, head, (0, 0, 0))
    return lax.dynamic_update_slice(x, tail, (0, before + size, 0))


def _folded(x: Signal, before: int, size: int) -> tuple[Other, Edge, Edge]:
    """Transpose of `repeated`: gradients of the signal and of the two repeated samples."""
    first = jnp.sum(x[:, :before], axis=1, keepdims=True)
    last = jnp.sum(x[:, before + size :], axis=1, keepdims=True)
    return x[:, before : before + size], first, last


def _added(x: Signal, first: Edge | None = None, last: Edge | None = None) -> Signal:
    """`x` with sums added to its first and last sample."""
    if first is not None:
        x = lax.dynamic_update_slice(x, x[:, :1] + first, (0, 0, 0))
    if last is not None:
        x = lax.dynamic_update_slice(x, x[:, -1:] + last, (0, x.shape[1] - 1, 0))
    return x


def _transposed(gradient: Signal, taps: Float32[np.ndarray, " k"]) -> Other:
    """Transpose of `filtered`: the gradient of its input from that of its result."""
    reach = len(taps) - 1
    return filtered(jnp.pad(gradient, ((0, 0), (reach, reach), (0, 0))), taps[::-1])


def make(
    taps: Float32[np.ndarray, " k"],
    square: Callable[[Array], Array],
    double: Callable[[Array], Array],
    eps: float,
) -> Callable[[Signal, Channels, Channels], Signal]:
    """`x + sin(alpha x)^2 / (beta + eps)` at the doubled rate, between two low-pass filters.

    `square` is the squared sine and `double` its derivative, the sine of the doubled angle. Returns
    a function of a signal, alpha and beta (linear, not their logarithms).
    """
    up_even, up_odd = taps[0::2], taps[1::2]  # polyphase parts of the upsampling filter
    edge = len(taps) // 4  # samples to either side that one phase reaches

    def phases(x: Signal) -> tuple[Signal, Signal]:
        wide = repeated(x, edge, edge, x[:, :1], x[:, -1:])
        return 2 * filtered(wide[:, :-1], up_even), 2 * filtered(wide[:, 1:], up_odd)

    def forward(x: Signal, alpha: Channels, beta: Channels) -> Signal:
        even, odd = (y + (1 / (beta + eps)) * square(alpha * y) for y in phases(x))
        first, last = even[:, :1], odd[:, -1:]
        even = repeated(even, edge - 1, edge, first, last)
        odd = repeated(odd, edge, edge - 1, first, last)
        return filtered(even, up_odd) + filtered(odd, up_even)

    def backward(
        saved: tuple[Signal, Channels, Channels], gradient: Signal
    ) -> tuple[Signal, Channels, Channels]:
        # The phases are recomputed from `x` rather than saved, which takes less memory.
        x, alpha, beta = saved
        size, inverse = x.shape[1], 1 / (beta + eps)
        even, odd = phases(x)
        # Backward through the downsampling filter and the repeated edges.
        to_even, *ends_even = _folded(_transposed(gradient, up_odd), edge - 1, size)
        to_odd, *ends_odd = _folded(_transposed(gradient, up_even), edge, size)
        to_even = _added(to_even, first=ends_even[0] + ends_odd[0])
        to_odd = _added(to_odd, last=ends_even[1] + ends_odd[1])

        # Backward through the activation.
        even_double, odd_double = double(alpha * even), double(alpha * odd)
        of_beta = to_even * square(alpha * even) + to_odd * square(alpha * odd)
        of_alpha = to_even * even_double * even + to_odd * odd_double * odd
        d_alpha = inverse * channel_sums(of_alpha)
        d_beta = -inverse * inverse * channel_sums(of_beta)

        slope = alpha * inverse
        # Backward through the upsampling filter.
        to_even = _transposed(2 * to_even * (1 + slope * even_double), up_even)
        to_odd = _transposed(2 * to_odd * (1 + slope * odd_double), up_odd)
        # Both phases read the same extended signal, the odd one a sample later.
        even_part, *even_ends = _folded(to_even, edge, size)
        odd_part, *odd_ends = _folded(to_odd, edge - 1, size)
        dx = _added(even_part + odd_part, even_ends[0] + odd_ends[0], even_ends[1] + odd_ends[1])
        return dx, d_alpha, d_beta

    activation = jax.custom_vjp(forward)
    activation.defvjp(lambda *given: (forward(*given), given), backward)
    return activation
