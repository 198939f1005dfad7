"""Convolutions over time, time before channels."""

import functools

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Float32

from indextts_jax.layers.correlation import OutputMajor, correlate
from indextts_jax.layers.parameters import uniform
from indextts_jax.layers.training.convolution import convolve
from indextts_jax.layers.training.depthwise import depthwise
from indextts_jax.layers.training.sums import add_bias

WIDE = 512  # from this many channels on, `_by_tap` is faster
BROAD = 96  # from this many channels on, gradients are products, see `convolve`


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
        kernel = self.kernel.get_value()
        x = x.astype(kernel.dtype)
        if isinstance(kernel, OutputMajor):
            y = self._correlate(x, kernel)
            return (y if self.bias is None else y + self.bias[...]).astype(kernel.dtype)
        kernel = jnp.asarray(kernel)
        plain = self.stride == self.groups == 1 and kernel.dtype == jnp.bfloat16
        if plain and min(kernel.shape[1:]) >= WIDE:
            y = lax.platform_dependent(x, kernel, cpu=self._by_tap, default=self._convolve)
        else:
            y = self._convolve(x, kernel)
        if self.bias is not None:
            y = add_bias(y, self.bias[...])
        return y.astype(kernel.dtype)

    def _convolve(self, x: Float[Array, "b t i"], kernel: Array) -> Float32[Array, "b s o"]:
        if self.stride == self.groups == 1 and min(kernel.shape[1:]) >= BROAD:
            return convolve(x, kernel, self.padding, self.dilation)
        return self._correlate(x, kernel)

    def _correlate(
        self, x: Float[Array, "b t i"], kernel: Array | OutputMajor
    ) -> Float32[Array, "b s o"]:
        return correlate(
            x,
            kernel,
            padding=self.padding,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _by_tap(self, x: Float[Array, "b t i"], kernel: Array) -> Float32[Array, "b s o"]:
        """One matrix product for each tap.

        On CPU, XLA has fast bfloat16 products, but runs bfloat16 convolutions in float32.
        """
        x = jnp.pad(x, ((0, 0), self.padding, (0, 0)))
        reach = self.dilation * (len(kernel) - 1)
        shifted = (
            lax.slice_in_dim(x, start, x.shape[1] - reach + start, axis=1)
            for start in range(0, reach + 1, self.dilation)
        )
        products = [
            jnp.matmul(part, tap, preferred_element_type=jnp.float32)
            for part, tap in zip(shifted, kernel, strict=True)
        ]
        return functools.reduce(jnp.add, products)


class DepthwiseConv1d(nnx.Module):
    """A depthwise convolution over time, with zeros outside.

    Equal to `Conv1d` with as many groups as channels, with the same parameters. Computed as a sum
    of shifted products: one pass over memory, which XLA fuses with the surrounding code. XLA's
    grouped convolution takes twenty times as long on a CPU. `padding` is the number of zero frames
    before and after; the default keeps the length.
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
        y = depthwise(x, taps)
        if self.bias is not None:
            y = y + self.bias[...]
        return jnp.asarray(y, kernel.dtype)
