"""From filter banks to semantic features: Wav2Vec2-BERT up to the layer whose output is used.

Each block is a conformer with pre-norms and two half-step feed-forward layers. Right padding has no
effect on valid rows: attention masks it and the convolution is causal.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from indextts_jax.config import SemanticEncoderConfig
from indextts_jax.layers.conv import DepthwiseConv1d
from indextts_jax.layers.feed_forward import FeedForward
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import zero_padding
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.parameters import Table
from indextts_jax.layers.stack import scan


def relative_scores(
    query: Float[Array, "b t h k"], table: Float[Array, "r k"], *, left: int
) -> Float[Array, "b h t t"]:
    """Scores of each query with the row of `table` for its offset to each key.

    Row `left` of the table is for a key at the query's own position; larger offsets use the first
    or last row. Each query is multiplied with every row once. The results are expanded to all
    offsets, and shifted to the keys by reinterpreting the array with another row length, because a
    gather over (t, t) is slow.
    """
    met = jnp.einsum("bthk,rk->bhtr", query, table, preferred_element_type=jnp.float32)
    return _slid(met, left)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _slid(met: Float[Array, "b h t r"], left: int) -> Float[Array, "b h t t"]:
    """For each query and key, the query's score for their offset.

    Custom gradient: the scatter that JAX would derive takes five times as long on a CPU.
    """
    t, rows = met.shape[2:]
    offsets = np.arange(-t, t)  # one more than needed, so that the row length differs by one
    spread = met[..., np.clip(offsets + left, 0, rows - 1)]  # b h t 2t
    slid = spread.reshape(*met.shape[:2], 2 * t, t)[:, :, 1:].reshape(*met.shape[:3], 2 * t - 1)
    return slid[..., :t]


def _forward(met: Array, left: int) -> tuple[Array, Array]:
    return _slid(met, left), met[:0]  # only its shape is needed


def _backward(left: int, like: Array, gradient: Array) -> tuple[Array]:
    t, rows = like.shape[2:]
    if rows == 1:
        return (jnp.sum(gradient, axis=-1, keepdims=True),)
    right = rows - 1 - left
    offset = np.arange(t) - np.arange(t)[:, None]
    low, high = (
        jnp.sum(jnp.where(beyond, gradient, 0), axis=-1, keepdims=True)
        for beyond in (offset <= -left, offset >= right)
    )
    # The same trick with a row length longer by one: row r of query i is key i + r - left.
    wide = jnp.pad(gradient, ((0, 0), (0, 0), (0, 0), (left, right)))
    flat = jnp.pad(wide.reshape(*gradient.shape[:2], -1), ((0, 0), (0, 0), (0, t)))
    between = flat.reshape(*wide.shape[:3], -1)[..., 1 : rows - 1]
    return (jnp.concatenate([low, between, high], axis=-1),)


_slid.defvjp(_forward, _backward)


class Attention(nnx.Module):
    """Self-attention with a learned row for each clipped offset between query and key.

    Source: `Wav2Vec2BertSelfAttention` of transformers, position type `relative_key`.
    """

    def __init__(self, cfg: SemanticEncoderConfig, *, rngs: nnx.Rngs):
        self.heads, self.left = cfg.heads, cfg.left
        self.query = Linear(cfg.width, cfg.width, rngs=rngs)
        self.key = Linear(cfg.width, cfg.width, rngs=rngs)
        self.value = Linear(cfg.width, cfg.width, rngs=rngs)
        self.out = Linear(cfg.width, cfg.width, rngs=rngs)
        shape = (cfg.left + cfg.right + 1, cfg.width // cfg.heads)
        self.distance = nnx.Param(0.02 * jax.random.normal(rngs.params(), shape))

    def __call__(self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"]) -> Float[Array, "b t d"]:
        def split(y: Array) -> Array:
            return y.reshape(*y.shape[:2], self.heads, -1)  # b t h k

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = jnp.einsum("bthk,bshk->bhts", query, key, preferred_element_type=jnp.float32)
        scores = scores + relative_scores(query, self.distance[...], left=self.left)
        scores = scores / np.sqrt(query.shape[-1], dtype=np.float32)
        # The lowest finite number instead of -inf, so that a row without valid keys does not become
        # NaN.
        scores = jnp.where(mask[:, None, None], scores, jnp.finfo(jnp.float32).min)
        weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
        y = jnp.einsum("bhts,bshk->bthk", weights, value, preferred_element_type=jnp.float32)
        return self.out(y.reshape(x.shape))


class ConvolutionModule(nnx.Module):
    """Gated causal convolution of a block.

    Source: `Wav2Vec2BertConvolutionModule` of transformers.
    """

    def __init__(self, cfg: SemanticEncoderConfig, *, rngs: nnx.Rngs):
        self.value_gate = Linear(cfg.width, 2 * cfg.width, bias=False, rngs=rngs)
        self.depthwise = DepthwiseConv1d(
            cfg.width, cfg.kernel, padding=(cfg.kernel - 1, 0), bias=False, rngs=rngs
        )
        self.norm_depthwise = LayerNorm(cfg.width, eps=cfg.norm_eps, rngs=rngs)
        self.out = Linear(cfg.width, cfg.width, bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"]) -> Float[Array, "b t d"]:
        value, gate = jnp.split(self.value_gate(zero_padding(x, mask)), 2, axis=-1)
        y = self.depthwise(value * jax.nn.sigmoid(gate))
        return self.out(jax.nn.silu(self.norm_depthwise(y)))


class Block(nnx.Module):
    """One layer: half feed-forward, attention, convolution, half feed-forward, norm.

    Source: `Wav2Vec2BertEncoderLayer` of transformers.
    """

    def __init__(self, cfg: SemanticEncoderConfig, *, rngs: nnx.Rngs):
        def norm() -> LayerNorm:
            return LayerNorm(cfg.width, eps=cfg.norm_eps, rngs=rngs)

        def feed_forward() -> FeedForward:
            return FeedForward(cfg.width, cfg.feed_forward, jax.nn.silu, rngs=rngs)

        self.norm_feed_forward_in = norm()
        self.feed_forward_in = feed_forward()
        self.norm_attention = norm()
        self.attention = Attention(cfg, rngs=rngs)
        self.norm_convolution = norm()
        self.convolution = ConvolutionModule(cfg, rngs=rngs)
        self.norm_feed_forward_out = norm()
        self.feed_forward_out = feed_forward()
        self.norm_out = norm()

    def __call__(self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"]) -> Float[Array, "b t d"]:
        x = x + 0.5 * self.feed_forward_in(self.norm_feed_forward_in(x)).astype(jnp.float32)
        x = x + self.attention(self.norm_attention(x), mask).astype(jnp.float32)
        x = x + self.convolution(self.norm_convolution(x), mask).astype(jnp.float32)
        x = x + 0.5 * self.feed_forward_out(self.norm_feed_forward_out(x)).astype(jnp.float32)
        return self.norm_out(x)


class SemanticEncoder(nnx.Module):
    """Semantic features of a prompt, 50 per second.

    The mask is the feature extractor's. Quirk of the reference: with an odd number of filter-bank
    frames, the last row of a prompt is masked but still part of the result, and later stages count
    it as valid. Rows that pad a batch are masked too, and undefined.

    Source: `Wav2Vec2BertModel` of transformers, and the pipeline's normalisation of its output.
    """

    def __init__(self, cfg: SemanticEncoderConfig, *, rngs: nnx.Rngs):
        self.norm = LayerNorm(cfg.features, eps=cfg.norm_eps, rngs=rngs)
        self.projection = Linear(cfg.features, cfg.width, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: Block(cfg, rngs=r))(rngs.split(cfg.layers))
        self.mean = Table(jnp.zeros(cfg.width))
        self.var = Table(jnp.ones(cfg.width))

    def __call__(
        self, features: Float[Array, "b t c"], mask: Bool[Array, "b t"], *, training: bool = False
    ) -> Float[Array, "b t d"]:
        """The normalised output of the last block; `training` compiles for gradients."""
        run = functools.partial(scan, remat=False) if training else jax.lax.scan
        x = self.project(features, mask)
        x, _ = run(lambda x, block: (block(x, mask), None), x, self.blocks)
        return self.normalise(x)

    def hidden_states(
        self, features: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "states b t d"]:
        """The projected features, then the output of every block, without normalisation."""

        def step(x: Array, block: Block) -> tuple[Array, Array]:
            x = block(x, mask)
            return x, x

        x = self.project(features, mask)
        return jnp.concatenate([x[None], jax.lax.scan(step, x, self.blocks)[1]])

    def project(
        self, features: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t d"]:
        """Projects features to the width of the blocks; masked rows become zero."""
        return zero_padding(self.projection(self.norm(features)).astype(jnp.float32), mask)

    def normalise(self, hidden: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Normalises hidden states by the stored mean and variance of each channel."""
        return (hidden - self.mean[...]) / jnp.sqrt(self.var[...])
