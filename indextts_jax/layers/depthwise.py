"""A convolution of each channel by itself, written as shifted products."""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from indextts_jax.layers.parameters import uniform


class DepthwiseConv1d(nnx.Module):
    """A convolution over time of every channel with a kernel of its own, zeros outside.

    The result and the parameters are those of `Conv1d` with as many groups as channels. A sum of
    shifted products is one pass over memory, which XLA fuses with its neighbours; its grouped
    convolution takes twenty times as long on a CPU. `padding` is the number of zero frames before
    and after; the default keeps the length.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        *,
        padding: tuple[int, int] | None = None,
        bias: bool = True,
        rngs: nnx.Rngs,
    ):
        same = (kernel - 1) // 2
        self.padding = (same, same) if padding is None else padding
        self.kernel = uniform(rngs, (kernel, 1, channels), kernel)
        self.bias = uniform(rngs, (channels,), kernel) if bias else None

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b s c"]:
        kernel = self.kernel[...]
        x = jnp.pad(x.astype(kernel.dtype), ((0, 0), self.padding, (0, 0)))
        taps = kernel[:, 0].astype(jnp.float32)
        length = x.shape[1] - len(taps) + 1
        y = sum(lax.slice_in_dim(x, i, i + length, axis=1) * tap for i, tap in enumerate(taps))
        if self.bias is not None:
            y = y + self.bias[...]
        return jnp.asarray(y, kernel.dtype)
