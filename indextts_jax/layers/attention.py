"""Attention over all valid keys, in the form that is fastest on each device."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from indextts_jax.layers.kernels.attention import attend_fused
from indextts_jax.layers.masks import valid

MASKED = float(np.finfo(np.float32).min)  # finite: -inf would give NaN for a row without keys
GROUP = 2  # heads computed together on a CPU
BLOCK_SCORES = 2**22  # float32 scores computed at a time on a CPU: 16 MB, to stay in the cache


def attend(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    lengths: Int[Array, " b"],
    *,
    fused: bool = False,
) -> Float[Array, "b f h k"]:
    """Scaled dot-product attention over the first `lengths` keys of each row, in float32.

    A CPU computes few heads at a time: the scores of all heads do not fit into its cache, and
    moving them to memory and back four times takes longer than the products. Other devices compute
    all at once. `fused` uses one kernel on NVIDIA GPUs, see `attend_fused`.
    """
    forms = {"cuda": attend_fused} if fused else {}
    return lax.platform_dependent(q, k, v, lengths, cpu=by_head, default=together, **forms)


def together(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    lengths: Int[Array, " b"],
) -> Float[Array, "b f h k"]:
    """`attend` as two products over all heads."""
    scores = jnp.einsum("bfhk,bghk->bhfg", q, k, preferred_element_type=jnp.float32)
    mask = valid(lengths, k.shape[1])[:, None, None]
    scores = jnp.where(mask, scores * q.shape[-1] ** -0.5, MASKED)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bhfg,bghk->bfhk", weights, v, preferred_element_type=jnp.float32)


def by_head(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    lengths: Int[Array, " b"],
) -> Float[Array, "b f h k"]:
    """`attend` for a few heads at a time, and long queries in blocks, to fit a CPU's cache."""
    batch, queries, heads, width = q.shape
    keys = k.shape[1]
    group = GROUP if batch * heads % GROUP == 0 else 1
    count = -(-group * queries * keys // BLOCK_SCORES)
    size = -(-queries // count)

    def grouped(x: Float[Array, "b t h k"]) -> Float[Array, "n c t k"]:
        return x.swapaxes(1, 2).reshape(-1, group, x.shape[1], width)

    # The queries are scaled rather than the scores, which are many more; exact if the root of the
    # width is a power of two.
    blocks = jnp.pad(
        grouped(q * width**-0.5), ((0, 0), (0, 0), (0, count * size - queries), (0, 0))
    )
    blocks = jnp.moveaxis(blocks.reshape(-1, group, count, size, width), 2, 1)
    shifts = jnp.where(valid(lengths, keys), 0.0, MASKED)
    shifts = jnp.repeat(shifts, heads, axis=0).reshape(-1, group, 1, keys)

    def heads_of(inputs: tuple[Array, ...]) -> Float[Array, "n c q k"]:
        blocks, k, v, shift = inputs

        def block(q: Float[Array, "c q k"]) -> Float[Array, "c q k"]:
            scores = jnp.einsum("cfk,cgk->cfg", q, k, preferred_element_type=jnp.float32) + shift
            weights = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
            y = jnp.matmul(weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
            return y / jnp.sum(weights, axis=-1, keepdims=True)

        return lax.map(block, blocks)

    y = lax.map(heads_of, (blocks, grouped(k), grouped(v), shifts))  # groups blocks c q k
    y = jnp.moveaxis(y, 1, 2).reshape(batch, heads, count * size, width)[:, :, :queries]
    return y.swapaxes(1, 2)
