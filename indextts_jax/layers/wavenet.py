"""A non-causal WaveNet with reflection padding at both true ends of each row."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from indextts_jax.config import WaveNetConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.stack import layer_at, scan

Drop = Callable[[Array, int | Array], Array]  # dropout of values, given a layer's number


def keep(x: Array, number: int | Array) -> Array:
    """Drops nothing."""
    return x


def reflect(
    x: Float[Array, "b f c"], lengths: Int[Array, " b"], margin: int
) -> Float[Array, "b g c"]:
    """Reflection padding of each row by `margin` frames on each side.

    The mirror image starts at the row's true end, not at that of the padded batch; frames past
    `length + margin` are undefined. A row of no more than `margin` frames is first extended with
    zeros to `margin + 1`.
    """
    x = zero_padding(x, valid(lengths, x.shape[1]))
    right = margin + max(margin + 1 - x.shape[1], 0)
    x = jnp.pad(x, ((0, 0), (0, right), (0, 0)))
    left = x[:, 1 : margin + 1][:, ::-1]
    ends = jnp.maximum(lengths, margin + 1) - 1

    def mirrored(row: Float[Array, "f c"], end: Int[Array, ""]) -> Float[Array, "f c"]:
        tail = lax.dynamic_slice_in_dim(row, end - margin, margin)[::-1]
        return lax.dynamic_update_slice_in_dim(row, tail, end + 1, 0)

    x = jax.vmap(mirrored)(x, ends)
    return jnp.concatenate([left, x], axis=1)


class Layer(nnx.Module):
    """One gated convolution; its result is the residual and the skip, concatenated."""

    def __init__(self, width: int, outputs: int, kernel: int, dilation: int, *, rngs: nnx.Rngs):
        self.margin = (kernel - 1) * dilation // 2
        self.conv = Conv1d(width, 2 * width, kernel, dilation=dilation, padding=(0, 0), rngs=rngs)
        self.res_skip = Linear(width, outputs, rngs=rngs)

    def __call__(
        self,
        y: Float[Array, "b f d"],
        modulation: Float[Array, "r e"],
        lengths: Int[Array, " b"],
        drop: Callable[[Array], Array] | None = None,
    ) -> Float[Array, "b f o"]:
        a = self.conv(reflect(y, lengths, self.margin)).astype(jnp.float32)
        signal, gate = jnp.split(a + modulation[:, None], 2, axis=-1)
        gated = jnp.tanh(signal) * jax.nn.sigmoid(gate)
        if drop is not None:
            gated = drop(gated)
        return self.res_skip(gated).astype(jnp.float32)


class WaveNet(nnx.Module):
    """Gated convolutions with a residual path and a sum of skips, modulated by time.

    Layer j has dilation `dilation ** j`. The last one has no residual half and is separate; the
    others have equal shapes and are stacked, unless the dilation is more than 1.

    Source: `WN` of the PyTorch release.
    """

    def __init__(self, width: int, cfg: WaveNetConfig, *, rngs: nnx.Rngs):
        count, dilation = cfg.layers, cfg.dilation

        def layer(outputs: int, j: int, rngs: nnx.Rngs) -> Layer:
            return Layer(width, outputs, cfg.kernel, dilation**j, rngs=rngs)

        self.count = count
        self.condition = Linear(width, count * 2 * width, rngs=rngs)
        layers: Layer | nnx.List[Layer] | None = None
        if count > 1 and dilation == 1:
            layers = nnx.vmap(lambda r: layer(2 * width, 0, r))(rngs.split(count - 1))
        elif count > 1:
            layers = nnx.List([layer(2 * width, j, rngs) for j in range(count - 1)])
        self.layers = layers
        self.last = layer(width, count - 1, rngs)

    @property
    def margin(self) -> int:
        """Frames to either side that one output frame depends on."""
        if isinstance(self.layers, nnx.List):
            return self.last.margin + sum(layer.margin for layer in self.layers)
        return self.count * self.last.margin

    def modulation(self, t: Float[Array, "r d"]) -> Float[Array, "r j e"]:
        """The terms that layers add before their gates, which depend only on the time embedding."""
        rows, width = t.shape
        return self.condition(t).reshape(rows, -1, 2 * width).astype(jnp.float32)

    def __call__(
        self,
        y: Float[Array, "b f d"],
        modulation: Float[Array, "r j e"],
        lengths: Int[Array, " b"],
    ) -> Float[Array, "b f d"]:
        """The sum of the skips; `r` is `b`, or 1 for a time common to all rows."""

        y = y.astype(jnp.float32)
        out = jnp.zeros_like(y)
        for number in range(self.count - 1):
            mixed = self._layer(number)(y, modulation[:, number], lengths)
            residual, skip = jnp.split(mixed, 2, axis=-1)
            y, out = y + residual, out + skip
        return out + self.last(y, modulation[:, -1], lengths)

    def trained(
        self,
        y: Float[Array, "b f d"],
        modulation: Float[Array, "b j e"],
        lengths: Int[Array, " b"],
        *,
        drop: Drop = keep,
        remat: bool = False,
    ) -> Float[Array, "b f d"]:
        """The same for training: stacked layers are scanned, with dropout of gated values."""

        def step(
            carry: tuple[Array, Array], inputs: tuple[Layer, Array, Array | int]
        ) -> tuple[tuple[Array, Array], None]:
            (y, out), (layer, modulation, number) = carry, inputs
            mixed = layer(y, modulation, lengths, lambda x: drop(x, number))
            residual, skip = jnp.split(mixed, 2, axis=-1)
            return (y + residual, out + skip), None

        y = y.astype(jnp.float32)
        carry, last = (y, jnp.zeros_like(y)), self.count - 1
        if isinstance(self.layers, nnx.List):
            for number in range(last):
                carry, _ = step(carry, (self.layers[number], modulation[:, number], number))
        elif self.layers is not None:
            inputs = (self.layers, jnp.moveaxis(modulation[:, :last], 1, 0), jnp.arange(last))
            carry, _ = scan(step, carry, inputs, remat=remat)
        y, out = carry
        return out + self.last(y, modulation[:, last], lengths, lambda x: drop(x, last))

    def _layer(self, number: int) -> Layer:
        if isinstance(self.layers, nnx.List):
            return self.layers[number]
        assert self.layers is not None
        return layer_at(self.layers, number)
