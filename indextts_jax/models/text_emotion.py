"""Qwen3: tokens to the logits of the next token, with a KV cache.

A single row, processed in chunks: the prompt chunk by chunk, then the reply token by token. Cache
entries of right padding are overwritten by the next chunk.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.config import TextEmotionConfig
from indextts_jax.layers.feed_forward import SwiGLU
from indextts_jax.layers.linear import Embedding, Linear
from indextts_jax.layers.norms import RMSNorm
from indextts_jax.layers.rotary import rotary_tables, rotate
from indextts_jax.layers.split_attention import KeyBlock, attend


class ReplyCache(NamedTuple):
    """Keys (rotated by their positions) and values of all tokens so far."""

    keys: Float[Array, "layers h p k"]
    values: Float[Array, "layers h p k"]


def attend_grouped(
    query: Float[Array, "t q k"], blocks: Sequence[KeyBlock]
) -> Float32[Array, "t q k"]:
    """Grouped-query attention: neighbouring query heads share one head of keys and values.

    The query heads of a group are treated as further positions of one head. Each mask is `t j`.
    """
    count, _, width = query.shape
    heads = blocks[0].keys.shape[1]
    grouped = query.reshape(count, heads, -1, width)  # t h g k
    group = grouped.shape[2]
    folded = jnp.moveaxis(grouped, 1, 0).reshape(1, heads, count * group, width)
    shared = [block._replace(mask=jnp.repeat(block.mask, group, axis=0)) for block in blocks]
    mixed = attend(folded, shared).reshape(heads, count, group, width)
    return jnp.moveaxis(mixed, 0, 1).reshape(query.shape)


class Attention(nnx.Module):
    """The input and output projections of a block's attention, with norms of queries and keys."""

    def __init__(self, cfg: TextEmotionConfig, *, rngs: nnx.Rngs):
        self.head_width = cfg.head_width
        queries, keys = cfg.heads * cfg.head_width, cfg.key_heads * cfg.head_width
        self.query = Linear(cfg.width, queries, bias=False, rngs=rngs)
        self.key = Linear(cfg.width, keys, bias=False, rngs=rngs)
        self.value = Linear(cfg.width, keys, bias=False, rngs=rngs)
        self.norm_query = RMSNorm(cfg.head_width, eps=cfg.norm_eps, rngs=rngs)
        self.norm_key = RMSNorm(cfg.head_width, eps=cfg.norm_eps, rngs=rngs)
        self.out = Linear(queries, cfg.width, bias=False, rngs=rngs)

    def project(
        self, x: Float[Array, "t d"], tables: tuple[Array, Array]
    ) -> tuple[Float[Array, "t _ k"], ...]:
        """Query, key and value; the first two normalised, then rotated by their positions."""
        query, key, value = (
            layer(x).reshape(len(x), -1, self.head_width)
            for layer in (self.query, self.key, self.value)
        )
        return rotate(self.norm_query(query), tables), rotate(self.norm_key(key), tables), value

    def merge(self, mixed: Float[Array, "t h k"]) -> Float[Array, "t d"]:
        """Concatenates the heads' outputs and projects them."""
        return self.out(mixed.reshape(len(mixed), -1))


class Block(nnx.Module):
    """A pre-norm decoder block; its residual stream stays float32.

    Keys and values come from a KV cache, so the caller runs attention between `project` and
    `finish`.
    """

    def __init__(self, cfg: TextEmotionConfig, *, rngs: nnx.Rngs):
        self.norm_attention = RMSNorm(cfg.width, eps=cfg.norm_eps, rngs=rngs)
        self.attention = Attention(cfg, rngs=rngs)
        self.norm_feed_forward = RMSNorm(cfg.width, eps=cfg.norm_eps, rngs=rngs)
        self.feed_forward = SwiGLU(cfg.width, cfg.feed_forward, rngs=rngs)

    def project(
        self, x: Float32[Array, "t d"], tables: tuple[Array, Array]
    ) -> tuple[Float[Array, "t _ k"], ...]:
        """Query, key and value of every position."""
        return self.attention.project(self.norm_attention(x), tables)

    def finish(
        self, x: Float32[Array, "t d"], mixed: Float[Array, "t h k"]
    ) -> Float32[Array, "t d"]:
        """The residual stream after adding the attention's result and the feed-forward layer."""
        x = x + self.attention.merge(mixed).astype(jnp.float32)
        return x + self.feed_forward(self.norm_feed_forward(x)).astype(jnp.float32)


class TextEmotion(nnx.Module):
    """Tokens to the logits of the next token; the embedding is also the output head.

    Source: `Qwen3ForCausalLM` of transformers, which `QwenEmotion` of the PyTorch release loads.
    """

    def __init__(self, cfg: TextEmotionConfig, *, rngs: nnx.Rngs):
        self.cfg = cfg
        self.embedding = Embedding(cfg.vocabulary, cfg.width, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: Block(cfg, rngs=r))(rngs.split(cfg.layers))
        self.norm = RMSNorm(cfg.width, eps=cfg.norm_eps, rngs=rngs)

    def empty_cache(self, size: int) -> ReplyCache:
        """A KV cache with capacity for `size` tokens."""
        shape = (self.cfg.layers, self.cfg.key_heads, size, self.cfg.head_width)
        dtype = self.embedding.embedding[...].dtype
        return ReplyCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def extend(
        self, tokens: Int[Array, " t"], start: Int[Array, ""], cache: ReplyCache
    ) -> tuple[Float32[Array, "t d"], ReplyCache]:
        """Hidden states of tokens at positions from `start` on, and the updated cache."""
        count, size = len(tokens), cache.keys.shape[2]
        turns = rotary_tables(size, self.cfg.head_width, self.cfg.rotary_base)
        cos, sin = (lax.dynamic_slice_in_dim(jnp.asarray(t), start, count) for t in turns)
        earlier = jnp.broadcast_to(jnp.arange(size) < start, (count, size))
        causal = jnp.tri(count, dtype=bool)

        def layer(
            x: Float32[Array, "t d"], inputs: tuple[Block, Array, Array]
        ) -> tuple[Array, tuple[Array, Array]]:
            block, keys, values = inputs
            query, key, value = block.project(x, (cos, sin))
            key, value = jnp.moveaxis(key, 0, 1), jnp.moveaxis(value, 0, 1)  # h t k
            blocks = [
                KeyBlock(jnp.swapaxes(held, 1, 2)[None], content[None], mask)
                for held, content, mask in ((keys, values, earlier), (key, value, causal))
            ]
            return block.finish(x, attend_grouped(query, blocks)), (key, value)

        x = self.embedding(tokens).astype(jnp.float32)
        x, new = lax.scan(layer, x, (self.blocks, cache.keys, cache.values))
        # The layers only read the cache, and one write for all of them comes last, so that XLA
        # updates it in place.
        keys, values = (
            lax.dynamic_update_slice_in_dim(old, entry, start, axis=2)
            for old, entry in zip(cache, new, strict=True)
        )
        return self.norm(x), ReplyCache(keys, values)

    def logits(self, hidden: Float32[Array, "*b d"]) -> Float32[Array, "*b v"]:
        """Logits of the next tokens in float32, not rounded to the embedding's dtype."""
        table = self.embedding.embedding[...]
        return jnp.einsum(
            "...d,vd->...v", hidden.astype(table.dtype), table, preferred_element_type=jnp.float32
        )
