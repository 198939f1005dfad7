"""The GPT's pass over finished codes, in increments: latents of more codes as they come.

The pass is causal, so that it can be continued. Decoding steps cannot be reused for it: they have
the codes at other positions (see `gpt.FIRST_STEP`), so that every key and value differs. Only the
prefix is the same.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.layers.masks import valid
from indextts_jax.layers.split_attention import KeyBlock, attend
from indextts_jax.layers.stack import layer_at
from indextts_jax.models.gpt import GPT, embed
from indextts_jax.models.gpt_cache import PrefixCache, transpose_keys


class LatentCache(NamedTuple):
    """Keys and values of the codes at the positions of this pass, start code first."""

    keys: tuple[Float[Array, "b h k s"], ...]  # one array for each layer
    values: tuple[Float[Array, "b h s k"], ...]

    @property
    def size(self) -> int:
        """Capacity in codes."""
        return self.values[0].shape[2]

    def resized(self, size: int) -> "LatentCache":
        """The cache with capacity for `size` codes, at least those that it has."""
        more = size - self.size
        return LatentCache(
            tuple(jnp.pad(keys, ((0, 0), (0, 0), (0, 0), (0, more))) for keys in self.keys),
            tuple(jnp.pad(values, ((0, 0), (0, 0), (0, more), (0, 0))) for values in self.values),
        )


def empty_latents(gpt: GPT, *, size: int) -> LatentCache:
    """A cache of one row with capacity for `size` codes."""
    heads, width = gpt.cfg.heads, gpt.cfg.width // gpt.cfg.heads
    dtype = gpt.code_embedding.embedding[...].dtype
    layers = range(gpt.cfg.layers)
    return LatentCache(
        tuple(jnp.zeros((1, heads, width, size), dtype) for _ in layers),
        tuple(jnp.zeros((1, heads, size, width), dtype) for _ in layers),
    )


def resize_latents(gpt: GPT, cache: LatentCache, *, size: int) -> LatentCache:
    """The cache with capacity for `size` codes."""
    return cache.resized(size)


def latent_prefix(
    gpt: GPT,
    latents: Float[Array, "b l d"],
    emotion: Float[Array, "b d"],
    text: Int[Array, "b t"],
    text_lengths: Int[Array, " b"],
) -> PrefixCache:
    """The prefix of this pass, for a text with start or stop tokens in it.

    Generation removes those, this pass does not; the prefix of any other text is that of
    generation.
    """
    return gpt.prefill(*gpt.prefix(latents, emotion, text, text_lengths))[1]


def more_latents(
    gpt: GPT,
    prefixes: tuple[PrefixCache, ...],
    caches: tuple[LatentCache, ...],
    codes: Int[Array, "b m"],
    starts: Int[Array, " b"],
) -> tuple[Float32[Array, "b m d"], tuple[LatentCache, ...]]:
    """The hidden states that predict the codes after these, as `GPT.latents` gives them.

    `codes` are the start code and then the codes so far, from position `starts` on; what is before
    is in the caches. Each row has a prefix and a cache of its own (of one row each, so that rows
    may come and go); all prefixes, and all caches, have the same capacity, which must hold
    `starts + m`.
    """
    prefix: PrefixCache = jax.tree.map(lambda *rows: jnp.concatenate(rows), *prefixes)
    cache: LatentCache = jax.tree.map(lambda *rows: jnp.concatenate(rows), *caches)
    rows, count = codes.shape
    position = starts[:, None] + jnp.arange(count)
    # Padding may reach past the table, where a lookup would give NaN, which spreads even if masked.
    position = jnp.minimum(position, gpt.cfg.code_positions - 1)
    x = embed(gpt.code_embedding, codes, gpt.code_positions, position)
    # The prefix ends with the start code, which is the first row here.
    known = valid(prefix.lengths - 1, prefix.values[0].shape[2])[:, None]  # b 1 p
    earlier = valid(starts, cache.size)[:, None]  # b 1 s
    itself = jnp.tri(count, dtype=bool)

    def written(entries: Array, new: Array, axis: int) -> Array:
        put = functools.partial(lax.dynamic_update_slice_in_dim, axis=axis - 1)
        return jax.vmap(put)(entries, new.astype(entries.dtype), starts)

    keys, values = [], []
    for layer in range(gpt.cfg.layers):
        block = layer_at(gpt.blocks, layer)
        query, key, value = block.project(x)
        key = transpose_keys(key)
        blocks = [
            KeyBlock(prefix.keys[layer], prefix.values[layer], known),
            KeyBlock(cache.keys[layer], cache.values[layer], earlier),
            KeyBlock(key, value, itself),
        ]
        x = block.finish(x, attend(query, blocks))
        keys.append(written(cache.keys[layer], key, 3))
        values.append(written(cache.values[layer], value, 2))
    made = tuple(
        LatentCache(
            tuple(array[row : row + 1] for array in keys),
            tuple(array[row : row + 1] for array in values),
        )
        for row in range(rows)
    )
    return gpt.norms(x), made


# The caches are donated, so that memory holds them only once.
more_latents.donated = (1,)  # type: ignore[attr-defined]
