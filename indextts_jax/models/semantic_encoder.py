"""Filter-bank features to semantic features: Wav2Vec2-BERT up to the layer that is used.

Each block is a conformer with a norm before every part and two half-step feed-forward parts. Right
padding changes no valid row: attention does not see it and the convolution looks to the left only.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.config import SemanticEncoderConfig
from indextts_jax.layers.conv import DepthwiseConv1d
from indextts_jax.layers.feed_forward import FeedForward
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import zero_padding
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.parameters import Table


def relative_scores(
    query: Float[Array, "b t h k"], table: Float[Array, "r k"], *, left: int
) -> Float[Array, "b h t t"]:
    """Scores of queries with the row of `table` for the offset from query to key.

    Row `left` of the table is for a key at the query's own position; keys farther to either side
    than the table reaches have its first or last row. Each query meets every row once; its results
    are then laid out over all offsets, and slid along the keys by reading the array with another
    stride: no gather runs over (t, t).
    """
    t = query.shape[1]
    met = jnp.einsum("bthk,rk->bhtr", query, table, preferred_element_type=jnp.float32)
    spread = _spread(met, left)  # b h t 2t
    slid = spread.reshape(*met.shape[:2], 2 * t, t)[:, :, 1:].reshape(*met.shape[:3], 2 * t - 1)
    return slid[..., :t]


def _rows(t: int, rows: int, left: int) -> Int[np.ndarray, " offsets"]:
    """The row of the table for each offset from -t to t - 1."""
    # One more offset than there are: the strides differ by one.
    return np.clip(np.arange(-t, t) + left, 0, rows - 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _spread(met: Float[Array, "b h t r"], left: int) -> Float[Array, "b h t offsets"]:
    """What each query meets, laid out over all offsets.

    Its gradient is a slice with a sum on either side: the scatter that XLA would derive adds one
    number after the other.
    """
    return met[..., _rows(met.shape[2], met.shape[3], left)]


def _spread_forward(met: Array, left: int) -> tuple[Array, Array]:
    return _spread(met, left), met[:0]  # of which the backward pass needs the shape alone


def _spread_backward(left: int, shape: Array, gradient: Array) -> tuple[Array]:
    t, count = shape.shape[2:]
    rows = _rows(t, count, left)
    first, last = int(rows[0]), int(rows[-1])
    if first == last:
        parts = jnp.sum(gradient, axis=-1, keepdims=True)
    else:
        before, after = (int(np.sum(rows == end)) for end in (first, last))
        ends = gradient[..., :before], gradient[..., len(rows) - after :]
        low, high = (jnp.sum(end, axis=-1, keepdims=True) for end in ends)
        middle = gradient[..., before : len(rows) - after]
        parts = jnp.concatenate([low, middle, high], axis=-1)
    # Rows for offsets that no pair here has.
    return (jnp.pad(parts, ((0, 0), (0, 0), (0, 0), (first, count - 1 - last))),)


_spread.defvjp(_spread_forward, _spread_backward)


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
        # The lowest finite number, as a row without any valid key must not become NaN.
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
    """Semantic features of a prompt, 50 a second.

    The mask is the feature extractor's. Where the number of filter-bank frames is odd, the last row
    of a prompt is real but masked: it is a row of the result like the others, and those after the
    encoder count it. Rows that pad a batch are masked in the same way, and mean nothing.

    Source: `Wav2Vec2BertModel` of transformers, and the pipeline's normalisation of its output.
    """

    def __init__(self, cfg: SemanticEncoderConfig, *, rngs: nnx.Rngs):
        self.norm = LayerNorm(cfg.features, eps=cfg.norm_eps, rngs=rngs)
        self.projection = Linear(cfg.features, cfg.width, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: Block(cfg, rngs=r))(rngs.split(cfg.layers))
        self.mean = Table(jnp.zeros(cfg.width))
        self.var = Table(jnp.ones(cfg.width))

    def __call__(
        self, features: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t d"]:
        """Normalised output of the last block."""
        x = self.project(features, mask)
        x, _ = jax.lax.scan(lambda x, block: (block(x, mask), None), x, self.blocks)
        return self.normalise(x)

    def hidden_states(
        self, features: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "states b t d"]:
        """The projected features, then the output of every block, none of them normalised."""

        def step(x: Array, block: Block) -> tuple[Array, Array]:
            x = block(x, mask)
            return x, x

        x = self.project(features, mask)
        return jnp.concatenate([x[None], jax.lax.scan(step, x, self.blocks)[1]])

    def project(
        self, features: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t d"]:
        """Features at the width of the blocks; masked rows are zero, whatever they hold."""
        return zero_padding(self.projection(self.norm(features)).astype(jnp.float32), mask)

    def normalise(self, hidden: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Hidden states by the stored mean and variance of each channel."""
        return (hidden - self.mean[...]) / jnp.sqrt(self.var[...])
