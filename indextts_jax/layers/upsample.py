"""Transposed convolution over time."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from indextts_jax.layers.correlation import OutputMajor, correlate
from indextts_jax.layers.parameters import uniform
from indextts_jax.layers.training.sums import add_bias


class ConvTranspose1d(nnx.Module):
    """A transposed convolution that upsamples by exactly `rate`.

    As in PyTorch with a padding of (kernel - rate) / 2: input sample t adds its multiple of the
    kernel's taps, unreversed, from output rate * t - padding on.

    Source: `torch.nn.ConvTranspose1d`, as `BigVGAN.ups` of the PyTorch release uses it.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, rate: int, *, rngs: nnx.Rngs):
        if kernel < rate or (kernel - rate) % 2:
            raise ValueError(f"a kernel of {kernel} does not fit a rate of {rate}")
        self.rate = rate
        self.kernel = uniform(rngs, (kernel, inputs, outputs), kernel * outputs)
        self.bias = uniform(rngs, (outputs,), kernel * outputs)

    def __call__(self, x: Float[Array, "b t i"]) -> Float[Array, "b n o"]:
        kernel = self.kernel.get_value()
        x = x.astype(kernel.dtype)
        if isinstance(kernel, OutputMajor):  # of `sub_pixel_kernel`
            reach = kernel.rows.shape[1]
            y = correlate(x, kernel, padding=(reach - 1, reach - 1))
            return (self._joined(y, reach, x.shape[1]) + self.bias[...]).astype(kernel.dtype)
        whole = kernel.shape[0] % self.rate == 0
        y = self._sub_pixel(x) if whole else self._dilated(x)
        return add_bias(y, self.bias[...]).astype(kernel.dtype)

    def _sub_pixel(self, x: Float[Array, "b t i"]) -> Float[Array, "b n o"]:
        """Sub-pixel form: a plain convolution to `rate` times the channels, then a reshape."""
        kernel = sub_pixel_kernel(self.kernel[...], self.rate)
        return self._joined(_reaching(x, kernel), len(kernel), x.shape[1])

    def _joined(self, y: Float[Array, "b u p"], reach: int, size: int) -> Float[Array, "b n o"]:
        """The samples of a sub-pixel form side by side, without those past the edges."""
        y = y.reshape(len(y), y.shape[1] * self.rate, -1)
        start = (reach - 1) * self.rate // 2
        return lax.slice_in_dim(y, start, start + self.rate * size, axis=1)

    def _dilated(self, x: Float[Array, "b t i"]) -> Float[Array, "b n o"]:
        """A convolution of the zero-stuffed input; works for any kernel."""
        taps = self.kernel.shape[0]
        padding = taps - 1 - (taps - self.rate) // 2
        return correlate(x, self.kernel[...][::-1], padding=(padding, padding), spread=self.rate)


def sub_pixel_kernel(kernel: Float[Array, "k i o"], rate: int) -> Float[Array, "r i p"]:
    """The kernel of the plain convolution; `r` input samples reach one output sample."""
    taps, inputs, outputs = kernel.shape
    kernel = kernel.reshape(taps // rate, rate, inputs, outputs)[::-1]
    return kernel.swapaxes(1, 2).reshape(taps // rate, inputs, rate * outputs)


@jax.custom_vjp
def _reaching(x: Float[Array, "b t i"], kernel: Float[Array, "k i o"]) -> Float[Array, "b n o"]:
    """A convolution with full padding.

    Its gradient is computed as matrix products: the transposed convolutions that JAX would derive
    have few taps and very many channels, and take ten times as long on a CPU.
    """
    reach = len(kernel) - 1
    return correlate(x, kernel, padding=(reach, reach))


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _reaching(x, kernel), (x, kernel)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    reach, size = len(kernel), x.shape[1]
    wide = jnp.pad(x, ((0, 0), (reach - 1, reach - 1), (0, 0)))
    made = gradient.shape[1]
    gradient = gradient.astype(jnp.float32)
    dx, taps = jnp.zeros((), jnp.float32), []
    for tap in range(reach):
        start = reach - 1 - tap
        dx += jnp.matmul(lax.slice_in_dim(gradient, start, start + size, axis=1), kernel[tap].T)
        seen = lax.slice_in_dim(wide, tap, tap + made, axis=1)
        taps.append(jnp.einsum("bti,bto->io", seen, gradient))
    return dx.astype(x.dtype), jnp.stack(taps).astype(kernel.dtype)


_reaching.defvjp(_forward, _backward)
