"""Attention of a decoding step over the prefix and the codes that each beam has inherited.

A step's masks are computed once; see `gpt_joint_cache` for the forms on GPUs.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.layers.masks import valid
from indextts_jax.layers.split_attention import Attended, KeyBlock, gather
from indextts_jax.models.gpt_cache import CodeCache, PrefixCache, transpose_keys

Attention = Callable[[int, Array, Array, Array], Float32[Array, "b h r k"]]


def by_piece(
    index: Int[Array, ""] | Int[Array, " b"],
    inherited: Bool[Array, "b r s r"],
    prefix: PrefixCache,
    cache: CodeCache,
) -> Attention:
    """Attention over the first KV cache block, and over each further block that has entries.

    `inherited` is the mask of entries that each beam has inherited; steps from `index` on are
    ignored. For each further block a condition at run time decides whether it is read.
    """
    batch, beams, steps = inherited.shape[:3]
    earlier = inherited & (jnp.arange(steps) < index[..., None])[..., None, :, None]
    masks = [
        earlier[:, :, piece.start : piece.stop].reshape(batch, beams, -1)  # b r j
        for piece in cache.pieces
    ]
    filled = [jnp.max(index) > piece.start for piece in cache.pieces[1:]]
    known = valid(prefix.lengths, prefix.values[0].shape[2])[:, None]  # b 1 p
    itself = jnp.eye(beams, dtype=bool)

    def attention(layer: int, query: Array, key: Array, value: Array) -> Array:
        given = KeyBlock(prefix.keys[layer], prefix.values[layer], known)
        entries = zip(cache.entries(layer), masks, strict=True)
        first, *more = [KeyBlock(*each, mask) for each, mask in entries]
        state = gather(query, [given, first, KeyBlock(transpose_keys(key), value, itself)])
        for some, block in zip(filled, more, strict=True):
            state = lax.cond(some, Attended.with_more, _as_is, state, query, block)
        return state.mean

    return attention


def _as_is(state: Attended, query: Float[Array, "b h r k"], block: KeyBlock) -> Attended:
    return state
