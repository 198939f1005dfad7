"""From filter banks to one style vector: CAMPPlus, a DenseNet with context-aware masks."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.config import StyleEncoderConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.parameters import Table, uniform

BATCH_NORM_EPS = 1e-5
MOMENTUM = 0.1  # weight of a batch in the running statistics, as in PyTorch
HEAD_STRIDES = 3  # times that the head halves the bands
ENTRY_KERNEL = 5


class BatchNorm(nnx.Module):
    """Batch normalisation of the last axis with stored statistics, in float32.

    `frozen` is set in training: 0 uses the batch's statistics over all other axes (no row may be
    padded) and updates the running ones; 1 uses the stored ones as in inference.

    Source: `torch.nn.BatchNorm1d`, `BatchNorm2d`.
    """

    frozen: nnx.Variable | None = None  # 0 or 1

    def __init__(self, width: int, *, affine: bool = True):
        self.mean = Table(jnp.zeros(width))
        self.var = Table(jnp.ones(width))
        self.scale = nnx.Param(jnp.ones(width)) if affine else None
        self.bias = nnx.Param(jnp.zeros(width)) if affine else None

    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        mean, var = self.mean[...], self.var[...]
        if self.frozen is not None:
            mean, var = self._follow(x.astype(jnp.float32), self.frozen[...])
        y = (x.astype(jnp.float32) - mean) * lax.rsqrt(var + BATCH_NORM_EPS)
        if self.scale is not None and self.bias is not None:
            y = y * self.scale[...].astype(jnp.float32) + self.bias[...].astype(jnp.float32)
        return y

    def _follow(
        self, x: Float[Array, "*b c"], frozen: Float[Array, ""]
    ) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """The statistics to normalise by; updates the running statistics."""
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axis=axes)
        var = jnp.mean(jnp.square(x - mean), axis=axes)
        count = x.size // x.shape[-1]
        unbiased = var * (count / max(count - 1, 1))
        used = tuple(
            jnp.where(frozen > 0, stored[...], batch)
            for stored, batch in ((self.mean, mean), (self.var, var))
        )
        for stored, batch in ((self.mean, mean), (self.var, unbiased)):
            after = (1 - MOMENTUM) * stored[...] + MOMENTUM * lax.stop_gradient(batch)
            stored[...] = jnp.where(frozen > 0, stored[...], after)
        return used[0], used[1]


class Conv2d(nnx.Module):
    """A zero-padded convolution over time and bands, without bias; the stride is over bands."""

    def __init__(self, inputs: int, outputs: int, size: int, *, stride: int = 1, rngs: nnx.Rngs):
        self.stride, self.border = stride, size // 2
        self.kernel = uniform(rngs, (size, size, inputs, outputs), size * size * inputs)

    def __call__(self, x: Float[Array, "b t m i"]) -> Float[Array, "b t k o"]:
        kernel = self.kernel[...]  # bands, time, i, o
        y = lax.conv_general_dilated(
            x.astype(kernel.dtype),
            kernel,
            window_strides=(self.stride, 1),
            padding=[(self.border, self.border)] * 2,
            dimension_numbers=("NWHC", "HWIO", "NWHC"),
            preferred_element_type=jnp.float32,
        )
        return y.astype(kernel.dtype)


def _clear(x: Float[Array, "b t m c"], mask: Bool[Array, "b t"]) -> Float[Array, "b t m c"]:
    """Zeros past the end of rows.

    The shift of a batch norm would otherwise leak from the padding into the last valid frames.
    """
    return jnp.where(mask[:, :, None, None], x, 0)


class ResidualBlock(nnx.Module):
    """Two convolutions over time and bands, and a shortcut with the same stride."""

    def __init__(self, width: int, *, stride: int, rngs: nnx.Rngs):
        self.conv_first = Conv2d(width, width, 3, stride=stride, rngs=rngs)
        self.norm_first = BatchNorm(width)
        self.conv_second = Conv2d(width, width, 3, rngs=rngs)
        self.norm_second = BatchNorm(width)
        strides = stride != 1
        self.shortcut = Conv2d(width, width, 1, stride=stride, rngs=rngs) if strides else None
        self.norm_shortcut = BatchNorm(width) if strides else None

    def __call__(
        self, x: Float[Array, "b t m c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t k c"]:
        y = jax.nn.relu(self.norm_first(self.conv_first(x)))
        y = self.norm_second(self.conv_second(_clear(y, mask)))
        if self.shortcut is not None and self.norm_shortcut is not None:
            x = self.norm_shortcut(self.shortcut(x))
        return _clear(jax.nn.relu(y + x), mask)


class Head(nnx.Module):
    """Filter banks, as a one-channel image, to `head_width` channels and an eighth of the bands."""

    def __init__(self, cfg: StyleEncoderConfig, *, rngs: nnx.Rngs):
        width = cfg.head_width
        self.conv_in = Conv2d(1, width, 3, rngs=rngs)
        self.norm_in = BatchNorm(width)
        self.down = nnx.List([ResidualBlock(width, stride=2, rngs=rngs) for _ in range(2)])
        self.same = nnx.List([ResidualBlock(width, stride=1, rngs=rngs) for _ in range(2)])
        self.conv_out = Conv2d(width, width, 3, stride=2, rngs=rngs)
        self.norm_out = BatchNorm(width)

    def __call__(
        self, fbank: Float[Array, "b f m"], mask: Bool[Array, "b f"]
    ) -> Float[Array, "b f k c"]:
        x = zero_padding(fbank, mask)[..., None]
        x = _clear(jax.nn.relu(self.norm_in(self.conv_in(x))), mask)
        for down, same in zip(self.down, self.same, strict=True):
            x = same(down(x, mask), mask)
        return _clear(jax.nn.relu(self.norm_out(self.conv_out(x))), mask)


def segment_means(
    x: Float[Array, "b t c"], lengths: Int[Array, " b"], segment: int
) -> Float[Array, "b k c"]:
    """Means over consecutive segments of `segment` valid frames; the last one may be shorter.

    Frames past the lengths must be zero. A segment without valid frames gives zero.
    """
    runs = -(-x.shape[1] // segment)
    padded = jnp.pad(x, ((0, 0), (0, runs * segment - x.shape[1]), (0, 0)))
    sums = padded.reshape(x.shape[0], runs, segment, x.shape[2]).sum(axis=2)
    counts = jnp.clip(lengths[:, None] - segment * jnp.arange(runs), 1, segment)
    return sums / counts[..., None]


class ContextMask(nnx.Module):
    """A convolution over time with channels gated by the means of segment and row.

    Source: `CAMLayer` of the PyTorch release.
    """

    def __init__(self, cfg: StyleEncoderConfig, *, dilation: int, rngs: nnx.Rngs):
        self.segment = cfg.segment
        self.local = Conv1d(
            cfg.bottleneck, cfg.growth, cfg.kernel, dilation=dilation, bias=False, rngs=rngs
        )
        self.fc_in = Linear(cfg.bottleneck, cfg.mask_width, rngs=rngs)
        self.fc_out = Linear(cfg.mask_width, cfg.growth, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b t o"]:
        x = zero_padding(x, valid(lengths, x.shape[1]))
        whole = x.sum(axis=1, keepdims=True) / jnp.maximum(lengths, 1)[:, None, None]
        context = whole + segment_means(x, lengths, self.segment)  # one for each segment
        weights = jax.nn.sigmoid(self.fc_out(jax.nn.relu(self.fc_in(context))).astype(jnp.float32))
        return self.local(x) * jnp.repeat(weights, self.segment, axis=1)[:, : x.shape[1]]


class DenseLayer(nnx.Module):
    """Computes `growth` new channels from all earlier ones.

    Source: `CAMDenseTDNNLayer` of the PyTorch release.
    """

    def __init__(self, width: int, cfg: StyleEncoderConfig, *, dilation: int, rngs: nnx.Rngs):
        self.norm_first = BatchNorm(width)
        self.bottleneck = Linear(width, cfg.bottleneck, bias=False, rngs=rngs)
        self.norm_second = BatchNorm(cfg.bottleneck)
        self.context = ContextMask(cfg, dilation=dilation, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t i"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b t o"]:
        y = self.bottleneck(jax.nn.relu(self.norm_first(x)))
        return self.context(jax.nn.relu(self.norm_second(y)), lengths)


class DenseBlock(nnx.Module):
    """Dense layers, each appending its channels; then a transition that halves the channels."""

    def __init__(
        self, width: int, layers: int, cfg: StyleEncoderConfig, *, dilation: int, rngs: nnx.Rngs
    ):
        self.layers = nnx.List(
            [
                DenseLayer(width + i * cfg.growth, cfg, dilation=dilation, rngs=rngs)
                for i in range(layers)
            ]
        )
        grown = width + layers * cfg.growth
        self.norm = BatchNorm(grown)
        self.transit = Linear(grown, grown // 2, bias=False, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t i"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b t o"]:
        for layer in self.layers:
            x = jnp.concatenate([x, layer(x, lengths)], axis=-1)
        return self.transit(jax.nn.relu(self.norm(x))).astype(jnp.float32)


def pooled(x: Float[Array, "b t c"], lengths: Int[Array, " b"]) -> Float[Array, "b d"]:
    """Means over the valid frames, then their unbiased standard deviations."""
    mask = valid(lengths, x.shape[1])
    mean = zero_padding(x, mask).sum(axis=1) / jnp.maximum(lengths, 1)[:, None]
    squares = zero_padding(jnp.square(x - mean[:, None]), mask).sum(axis=1)
    variance = squares / jnp.maximum(lengths - 1, 1)[:, None]
    varies = variance > 0  # the square root of 0 has no finite gradient
    deviation = jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1)), 0)
    return jnp.concatenate([mean, deviation], axis=-1)


class StyleEncoder(nnx.Module):
    """The style vector of a recording.

    Source: `CAMPPlus` of the PyTorch release.
    """

    def __init__(self, cfg: StyleEncoderConfig, *, rngs: nnx.Rngs):
        self.image = Head(cfg, rngs=rngs)
        bands = -(-cfg.mels // 2**HEAD_STRIDES)
        self.entry = Conv1d(
            cfg.head_width * bands, cfg.width, ENTRY_KERNEL, stride=2, bias=False, rngs=rngs
        )
        self.norm_entry = BatchNorm(cfg.width)
        blocks, width = [], cfg.width
        for layers, dilation in zip(cfg.layers, cfg.dilations, strict=True):
            blocks.append(DenseBlock(width, layers, cfg, dilation=dilation, rngs=rngs))
            width = (width + layers * cfg.growth) // 2
        self.blocks = nnx.List(blocks)
        self.norm_out = BatchNorm(width)
        self.style = Linear(2 * width, cfg.style, bias=False, rngs=rngs)
        self.norm_style = BatchNorm(cfg.style, affine=False)

    def head(
        self, fbank: Float[Array, "b f m"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b f c"]:
        """The head's output, one row per frame, with the band as fastest axis within a channel.

        Source: `FCM` of the PyTorch release.
        """
        x = self.image(fbank, valid(lengths, fbank.shape[1]))  # b f k c
        return x.swapaxes(2, 3).reshape(*x.shape[:2], -1)

    def __call__(
        self, fbank: Float[Array, "b f m"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b s"]:
        """The style vectors of filter banks whose mean over time has been subtracted.

        `lengths` are the valid frames, at least two.
        """
        x = self.entry(self.head(fbank, lengths))
        lengths = (lengths + 1) // 2  # the first layer has stride 2
        x = jax.nn.relu(self.norm_entry(x))
        for block in self.blocks:
            x = block(x, lengths)
        x = pooled(jax.nn.relu(self.norm_out(x)), lengths)
        return self.norm_style(self.style(x))
