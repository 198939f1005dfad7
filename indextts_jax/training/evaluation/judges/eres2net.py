"""ERes2Net: from filter banks to a speaker embedding.

Functions of the published arrays with their own names and layout (channels, bands, time), as judges
are never trained or stored by us. Each convolution over time reads zeros past a row's end, so that
padding has no effect.

Source: `ERes2Net` of 3D-Speaker (Apache-2.0).
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

BLOCKS = (3, 4, 6, 3)  # blocks of the four layers
FUSED = 3  # from this layer on, blocks fuse their parts with attention instead of adding them
CHANNELS, BANDS, WIDTH = 32, 80, 192
BATCH_NORM_EPS, VARIANCE_EPS = 1e-5, 1e-8
CEILING = 20.0  # upper limit of the clipped ReLU in blocks
SQUEEZE = 4  # channel reduction inside a fusion

Arrays = Mapping[str, Array]
Map = Float[Array, "b c m t"]


def shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays that the network reads."""
    return dict(_shapes())


def embed(arrays: Arrays, banks: Float[Array, "b t m"], lengths: Int[Array, " b"]) -> Array:
    """A unit-length embedding for each row (b d); rows have `lengths` frames."""
    net = _Net(arrays)
    steps = [lengths]  # frame counts at each layer's rate
    for _ in BLOCKS[1:]:
        steps.append((steps[-1] + 1) // 2)
    x = _masked(banks.swapaxes(1, 2)[:, None], lengths)
    x = jax.nn.relu(net.normal("bn1", net.convolve("conv1", x)))
    outputs = []
    for number, count in enumerate(BLOCKS, 1):
        for block in range(count):
            stride = 2 if number > 1 and block == 0 else 1
            x = net.block(f"layer{number}.{block}", x, steps[number - 1], stride, number >= FUSED)
        outputs.append(x)
    fused, name = outputs[0], "fuse_mode1"
    for number, output in enumerate(outputs[1:], 1):
        coarse = net.convolve(f"layer{number}_downsample", _masked(fused, steps[number - 1]), 2)
        name += str(number + 1)
        fused = net.fuse(name, output, coarse)
    pooled = _statistics(fused, steps[-1])
    vector = pooled @ arrays["seg_1.weight"].T + arrays["seg_1.bias"]
    return vector / jnp.linalg.norm(vector, axis=1, keepdims=True)


class _Net:
    """Layers by the names of their arrays."""

    def __init__(self, arrays: Arrays):
        self._arrays = arrays

    def convolve(self, name: str, x: Map, stride: int = 1) -> Map:
        """A zero-padded convolution over bands and time, of size 1 or 3."""
        kernel = self._arrays[f"{name}.weight"]
        border = kernel.shape[-1] // 2
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            [(border, border)] * 2,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )

    def normal(self, name: str, x: Map) -> Map:
        """Batch normalisation with stored statistics."""
        mean, var, weight, bias = (
            self._arrays[f"{name}.{key}"][:, None, None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) * lax.rsqrt(var + BATCH_NORM_EPS) * weight + bias

    def block(self, name: str, x: Map, steps: Int[Array, " b"], stride: int, fused: bool) -> Map:
        """A Res2Net residual block: the second part also reads the result of the first."""
        inner = self.normal(f"{name}.bn1", self.convolve(f"{name}.conv1", x, stride))
        first, second = jnp.split(_rectified(inner), 2, axis=1)
        first = self._half(name, 0, first, steps)
        second = self.fuse(f"{name}.fuse_models.0", first, second) if fused else first + second
        both = jnp.concatenate([first, self._half(name, 1, second, steps)], axis=1)
        out = self.normal(f"{name}.bn3", self.convolve(f"{name}.conv3", both))
        if f"{name}.shortcut.0.weight" in self._arrays:
            x = self.convolve(f"{name}.shortcut.0", x, stride)
            x = self.normal(f"{name}.shortcut.1", x)
        return _rectified(out + x)

    def _half(self, name: str, number: int, x: Map, steps: Int[Array, " b"]) -> Map:
        x = self.convolve(f"{name}.convs.{number}", _masked(x, steps))
        return _rectified(self.normal(f"{name}.bns.{number}", x))

    def fuse(self, name: str, x: Map, y: Map) -> Map:
        """Attentional fusion: the sum of two inputs with computed weights at each position."""
        z = jnp.concatenate([x, y], axis=1)
        for layer in (0, 3):
            bias = self._arrays[f"{name}.local_att.{layer}.bias"][:, None, None]
            z = self.convolve(f"{name}.local_att.{layer}", z) + bias
            z = self.normal(f"{name}.local_att.{layer + 1}", z)
            z = jax.nn.silu(z) if layer == 0 else jnp.tanh(z)
        return x * (1 + z) + y * (1 - z)


def _rectified(x: Map) -> Map:
    return jnp.clip(x, 0, CEILING)


def _masked(x: Map, steps: Int[Array, " b"]) -> Map:
    inside = jnp.arange(x.shape[-1]) < steps[:, None]
    return jnp.where(inside[:, None, None], x, 0)


def _statistics(x: Map, steps: Int[Array, " b"]) -> Float[Array, "b e"]:
    """Mean and standard deviation over the frames of each row, by channel and band."""
    inside = (jnp.arange(x.shape[-1]) < steps[:, None])[:, None, None]
    count = steps[:, None, None, None]
    mean = jnp.sum(jnp.where(inside, x, 0), -1, keepdims=True) / count
    square = jnp.sum(jnp.where(inside, jnp.square(x - mean), 0), -1, keepdims=True)
    deviation = jnp.sqrt(square / jnp.maximum(count - 1, 1) + VARIANCE_EPS)
    return jnp.concatenate([part.reshape(len(x), -1) for part in (mean, deviation)], axis=1)


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _convolution("conv1", CHANNELS, 1, 3)
    yield from _normal("bn1", CHANNELS)
    inputs = CHANNELS
    for number, count in enumerate(BLOCKS, 1):
        width = CHANNELS * 2 ** (number - 1)  # inner width of a block; half of its output
        for block in range(count):
            name = f"layer{number}.{block}"
            yield from _convolution(f"{name}.conv1", width, inputs, 1)
            yield from _normal(f"{name}.bn1", width)
            for half in range(2):
                yield from _convolution(f"{name}.convs.{half}", width // 2, width // 2, 3)
                yield from _normal(f"{name}.bns.{half}", width // 2)
            if number >= FUSED:
                yield from _fusion(f"{name}.fuse_models.0", width // 2)
            yield from _convolution(f"{name}.conv3", 2 * width, width, 1)
            yield from _normal(f"{name}.bn3", 2 * width)
            if block == 0:
                yield from _convolution(f"{name}.shortcut.0", 2 * width, inputs, 1)
                yield from _normal(f"{name}.shortcut.1", 2 * width)
            inputs = 2 * width
    name = "fuse_mode1"
    for number in range(1, len(BLOCKS)):
        width = CHANNELS * 2**number
        yield from _convolution(f"layer{number}_downsample", 2 * width, width, 3)
        name += str(number + 1)
        yield from _fusion(name, 2 * width)
    pooled = 2 * inputs * (BANDS // 2 ** (len(BLOCKS) - 1))
    yield "seg_1.weight", (WIDTH, pooled)
    yield "seg_1.bias", (WIDTH,)


def _convolution(name: str, outputs: int, inputs: int, size: int) -> Iterator:
    yield f"{name}.weight", (outputs, inputs, size, size)


def _normal(name: str, width: int) -> Iterator:
    for key in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{key}", (width,)


def _fusion(name: str, width: int) -> Iterator:
    for layer, outputs, inputs in (
        (0, width // SQUEEZE, 2 * width),
        (3, width, width // SQUEEZE),
    ):
        yield f"{name}.local_att.{layer}.bias", (outputs,)
        yield from _convolution(f"{name}.local_att.{layer}", outputs, inputs, 1)
        yield from _normal(f"{name}.local_att.{layer + 1}", outputs)
