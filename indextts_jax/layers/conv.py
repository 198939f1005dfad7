"""Convolutions over time, time before channels, and masks of valid frames."""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.layers.linear import uniform


def valid(lengths: Int[Array, " b"], size: int) -> Bool[Array, "b t"]:
    """True at the first `length` positions of each row of `size`."""
    return jnp.arange(size) < lengths[:, None]


def zero_padding(x: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b t c"]:
    """The rows with every position outside the mask set to zero (even NaN)."""
    return jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))


class Conv1d(nnx.Module):
    """A convolution over time (a cross-correlation, as in PyTorch), zeros outside.

    `padding` is the number of zero frames before and after; the default keeps the length.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: tuple[int, int] | None = None,
        bias: bool = True,
        rngs: nnx.Rngs,
    ):
        same = dilation * (kernel - 1) // 2
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.padding = (same, same) if padding is None else padding
        fan_in = inputs // groups * kernel
        self.kernel = uniform(rngs, (kernel, inputs // groups, outputs), fan_in)
        self.bias = uniform(rngs, (outputs,), fan_in) if bias else None

    def __call__(self, x: Float[Array, "b t i"]) -> Float[Array, "b s o"]:
        kernel = self.kernel[...]
        y = lax.conv_general_dilated(
            x.astype(kernel.dtype),
            kernel,
            window_strides=(self.stride,),
            padding=[self.padding],
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=self.groups,
            preferred_element_type=jnp.float32,
        )
        if self.bias is not None:
            y = y + self.bias[...]
        return y.astype(kernel.dtype)
