"""Attention over all valid keys, in the form that each device runs fastest."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

MASKED = float(np.finfo(np.float32).min)  # finite, so that a row without keys is no NaN
BLOCK_SCORES = (
    2**18
)  # of one block of queries in float32: a megabyte, which stays in a core's cache


def attend(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    mask: Bool[Array, "b g"],
) -> Float[Array, "b f h k"]:
    """What each query gathers from the valid keys, in float32; scores are scaled by the width.

    A CPU takes one head after the other, in blocks of queries: all scores together would go out to
    memory and back four times, which takes longer than the products. Other devices take them all.
    """
    return lax.platform_dependent(q, k, v, mask, cpu=by_head, default=together)


def together(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    mask: Bool[Array, "b g"],
) -> Float[Array, "b f h k"]:
    """`attend` in two products over all heads."""
    scores = jnp.einsum("bfhk,bghk->bhfg", q, k, preferred_element_type=jnp.float32)
    scores = jnp.where(mask[:, None, None], scores * q.shape[-1] ** -0.5, MASKED)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bhfg,bghk->bfhk", weights, v, preferred_element_type=jnp.float32)


def by_head(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    mask: Bool[Array, "b g"],
) -> Float[Array, "b f h k"]:
    """`attend` head by head and block by block."""
    batch, queries, heads, width = q.shape
    keys = k.shape[1]
    count = -(-queries * keys // BLOCK_SCORES)
    size = -(-queries // count)

    def heads_first(x: Float[Array, "b t h k"]) -> Float[Array, "c t k"]:
        return x.swapaxes(1, 2).reshape(batch * heads, x.shape[1], width)

    blocks = jnp.pad(heads_first(q), ((0, 0), (0, count * size - queries), (0, 0)))
    blocks = blocks.reshape(-1, count, size, width)

    def head(inputs: tuple[Array, Array, Array, Array]) -> Float[Array, "n q k"]:
        blocks, k, v, mask = inputs

        def block(q: Float[Array, "q k"]) -> Float[Array, "q k"]:
            scores = jnp.einsum("fk,gk->fg", q, k, preferred_element_type=jnp.float32)
            scores = jnp.where(mask, scores * width**-0.5, MASKED)
            weights = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
            y = jnp.matmul(weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
            return y / jnp.sum(weights, axis=-1, keepdims=True)

        return lax.map(block, blocks)

    masks = jnp.repeat(mask, heads, axis=0)
    y = lax.map(head, (blocks, heads_first(k), heads_first(v), masks))
    y = y.reshape(batch, heads, count * size, width)[:, :, :queries]
    return y.swapaxes(1, 2)
