"""A conformer over semantic features that halves the frame rate."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.config import ConformerConfig
from indextts_jax.layers.conv import DepthwiseConv1d
from indextts_jax.layers.feed_forward import FeedForward
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.parameters import Table, uniform

NORM_EPS = 1e-5  # of every norm of the conformer


def frames_heard(cfg: ConformerConfig) -> int:
    """Number of leading input frames that the valid output depends on.

    Masked frames (see `Conformer`) affect others only through a bias, within the reach of the
    kernel: so the result depends on whether they are present, but not on their values.
    """
    return 2 * ((cfg.features - 1) // 2 + cfg.kernel // 2) + 1


class Subsampling(nnx.Module):
    """Halves the frame rate: a strided 3x3 convolution over time and features, then a projection.

    Frame j comes from input frames 2j to 2j + 2.

    Source: `Conv2dSubsampling2` of the PyTorch release.
    """

    def __init__(self, cfg: ConformerConfig, *, rngs: nnx.Rngs):
        self.kernel = uniform(rngs, (3, 3, 1, cfg.width), 9)
        self.bias = uniform(rngs, (cfg.width,), 9)
        self.project = Linear((cfg.features - 1) // 2 * cfg.width, cfg.width, rngs=rngs)

    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b u d"]:
        kernel = self.kernel[...]
        y = lax.conv_general_dilated(
            x[..., None].astype(kernel.dtype),
            kernel,
            window_strides=(2, 2),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.float32,
        )
        y = jax.nn.relu(y + self.bias[...]).astype(kernel.dtype)
        # The channel is the fastest axis; the importer has permuted the projection's rows
        # accordingly.
        return self.project(y.reshape(*y.shape[:2], -1))


class PositionAttention(nnx.Module):
    """Self-attention whose scores also include the query's product with the key's position.

    Quirk of the reference: the position is the key's absolute one; no relative shift is applied.

    Source: `RelPositionMultiHeadedAttention` of the PyTorch release.
    """

    def __init__(self, cfg: ConformerConfig, *, rngs: nnx.Rngs):
        self.query = Linear(cfg.width, cfg.width, rngs=rngs)
        self.key = Linear(cfg.width, cfg.width, rngs=rngs)
        self.value = Linear(cfg.width, cfg.width, rngs=rngs)
        self.position = Linear(cfg.width, cfg.width, bias=False, rngs=rngs)
        self.out = Linear(cfg.width, cfg.width, rngs=rngs)
        heads = (cfg.heads, cfg.width // cfg.heads)
        self.content_bias = uniform(rngs, heads, cfg.width)
        self.position_bias = uniform(rngs, heads, cfg.width)

    def __call__(
        self, x: Float[Array, "b t d"], positions: Float[Array, "t d"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t d"]:
        shape = self.content_bias[...].shape  # h k
        q, k, v, p = (
            y.reshape(*y.shape[:-1], *shape)
            for y in (self.query(x), self.key(x), self.value(x), self.position(positions))
        )
        content, place = q + self.content_bias[...], q + self.position_bias[...]
        scores = jnp.einsum("bthk,bshk->bhts", content, k, preferred_element_type=jnp.float32)
        scores += jnp.einsum("bthk,shk->bhts", place, p, preferred_element_type=jnp.float32)
        keys = mask[:, None, None, :]
        scores = jnp.where(keys, scores / math.sqrt(shape[-1]), jnp.finfo(jnp.float32).min)
        # Masked again after the softmax: for a row without any valid key it is uniform, not zero.
        weights = jnp.where(keys, jax.nn.softmax(scores, axis=-1), 0).astype(v.dtype)
        y = jnp.einsum("bhts,bshk->bthk", weights, v, preferred_element_type=jnp.float32)
        return self.out(y.reshape(x.shape))


class ConvolutionModule(nnx.Module):
    """Gated depthwise convolution over time.

    `real` frames are not padding; `mask` are the valid ones among them. Quirk of the reference: it
    zeroes masked frames before the first projection, whose bias then leaks into their neighbours.
    Padding after a row's end must not leak in this way, so it is zeroed after the projection too.

    Source: `ConvolutionModule` of the PyTorch release.
    """

    def __init__(self, cfg: ConformerConfig, *, rngs: nnx.Rngs):
        self.value_gate = Linear(cfg.width, 2 * cfg.width, rngs=rngs)
        self.depthwise = DepthwiseConv1d(cfg.width, cfg.kernel, rngs=rngs)
        self.norm_depthwise = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.out = Linear(cfg.width, cfg.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"], real: Bool[Array, "b t"]
    ) -> Float[Array, "b t d"]:
        value, gate = jnp.split(self.value_gate(zero_padding(x, mask)), 2, axis=-1)
        y = self.depthwise(zero_padding(value * jax.nn.sigmoid(gate), real))
        return zero_padding(self.out(jax.nn.silu(self.norm_depthwise(y))), mask)


class ConformerBlock(nnx.Module):
    """Attention, convolution and one full feed-forward layer, each with a pre-norm; a final norm.

    The residual stream is float32 whatever the dtype of the weights.

    Source: `ConformerEncoderLayer` of the PyTorch release, without the macaron half.
    """

    def __init__(self, cfg: ConformerConfig, *, rngs: nnx.Rngs):
        self.norm_attention = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.attention = PositionAttention(cfg, rngs=rngs)
        self.norm_convolution = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.convolution = ConvolutionModule(cfg, rngs=rngs)
        self.norm_feed_forward = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.feed_forward = FeedForward(cfg.width, cfg.feed_forward, jax.nn.silu, rngs=rngs)
        self.norm_out = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b t d"],
        positions: Float[Array, "t d"],
        mask: Bool[Array, "b t"],
        real: Bool[Array, "b t"],
    ) -> Float[Array, "b t d"]:
        x = x + self.attention(self.norm_attention(x), positions, mask).astype(jnp.float32)
        x = x + self.convolution(self.norm_convolution(x), mask, real).astype(jnp.float32)
        x = x + self.feed_forward(self.norm_feed_forward(x)).astype(jnp.float32)
        return self.norm_out(x)


class Conformer(nnx.Module):
    """Output frames of width d at half the frame rate, and their mask.

    Quirk of the reference: frames from index (features - 1) // 2 on are masked, because it passes
    the feature width where the length belongs. At the published sizes this masks nothing.

    Source: `ConformerEncoder` of the PyTorch release.
    """

    def __init__(self, cfg: ConformerConfig, *, rngs: nnx.Rngs):
        self.features = cfg.features
        self.subsample = Subsampling(cfg, rngs=rngs)
        self.positions = Table(jax.random.normal(rngs.params(), (cfg.positions, cfg.width)))
        self.blocks = nnx.vmap(lambda r: ConformerBlock(cfg, rngs=r))(rngs.split(cfg.layers))
        self.norm = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> tuple[Float[Array, "b u d"], Bool[Array, "b u"]]:
        table = self.positions[...]
        size = max((x.shape[1] - 1) // 2, 0)
        if size > table.shape[0]:
            raise ValueError(
                f"{x.shape[1]} frames give {size}, but the table has {table.shape[0]} positions"
            )
        # An output frame needs all three of its input frames, so a row has (length - 1) // 2.
        real = valid((lengths - 1) // 2, size)
        mask = valid((jnp.minimum(lengths, self.features) - 1) // 2, size)

        y = self.subsample(zero_padding(x, valid(lengths, x.shape[1])))
        y = y.astype(jnp.float32) * math.sqrt(table.shape[1])

        def step(y: Array, block: ConformerBlock) -> tuple[Array, None]:
            return block(y, table[:size], mask, real), None

        y, _ = lax.scan(step, y, self.blocks)
        return self.norm(y), mask
