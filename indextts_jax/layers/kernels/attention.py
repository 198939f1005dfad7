"""Flash attention for NVIDIA GPUs: scores and weights are never written to memory.

Each program of the kernel has a block of queries of one head and iterates over blocks of valid keys
with a running maximum and sum; keys past a row's length are not read.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float, Int

BLOCK = 64  # queries of a program, and keys of an iteration
WARPS = 4
STAGES = 2  # blocks of keys being loaded at a time
LEAST_WIDTH = 16  # least head width that tensor cores support
LOW = float(np.finfo(np.float32).min) / 2  # score of masked keys; finite, to avoid NaN


def supported(width: int) -> bool:
    """Whether the kernel supports this head width: powers of two from 16 to 256."""
    return LEAST_WIDTH <= width <= 256 and width & (width - 1) == 0


def attend_fused(
    q: Float[Array, "b f h k"],
    k: Float[Array, "b g h k"],
    v: Float[Array, "b g h k"],
    lengths: Int[Array, " b"],
    *,
    interpret: bool = False,
) -> Float[Array, "b f h k"]:
    """Attention of each query over the first `lengths` keys of its row, in float32.

    Scores are divided by the root of the width. A row of length 0 gives zeros. `interpret` runs the
    kernel as plain JAX on any device.
    """
    batch, queries, heads, width = q.shape
    q, k, v = _padded(q), _padded(k), _padded(v)
    blocks = q.shape[1] // BLOCK

    def block(size: int, index: Any) -> pl.BlockSpec:
        return pl.BlockSpec((None, size, None, width), index)

    whole = block(k.shape[1], lambda row, head, i: (row, 0, head, 0))
    part = block(BLOCK, lambda row, head, i: (row, i, head, 0))
    call = pl.pallas_call(
        _kernel,
        grid=(batch, heads, blocks),
        in_specs=[part, whole, whole, pl.BlockSpec((None,), lambda row, head, i: (row,))],
        out_specs=part,
        out_shape=jax.ShapeDtypeStruct(q.shape, jnp.float32),
        compiler_params=triton.CompilerParams(num_warps=WARPS, num_stages=STAGES),
        interpret=interpret,
        name="attend_fused",
    )
    return call(q, k, v, jnp.minimum(lengths, k.shape[1]).astype(jnp.int32))[:, :queries]


def _padded(x: Float[Array, "b t h k"]) -> Float[Array, "b u h k"]:
    return jnp.pad(x, ((0, 0), (0, -x.shape[1] % BLOCK), (0, 0), (0, 0)))


def _kernel(q_ref: Any, k_ref: Any, v_ref: Any, length_ref: Any, out_ref: Any) -> None:
    q, length = q_ref[...], length_ref[...]
    dot = functools.partial(
        lax.dot_general,
        precision=lax.Precision.HIGHEST,  # no TF32 for float32
        preferred_element_type=jnp.float32,
    )

    def body(i: Int[Array, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        total, highest, mixed = carry
        here = pl.ds(i * BLOCK, BLOCK)
        scores = dot(q, k_ref[here, :], (((1,), (1,)), ((), ()))) * q.shape[1] ** -0.5
        counts = i * BLOCK + jnp.arange(BLOCK) < length
        scores = jnp.where(counts[None], scores, LOW)
        top = jnp.maximum(highest, jnp.max(scores, axis=1))
        weights, fading = jnp.exp(scores - top[:, None]), jnp.exp(highest - top)
        values = v_ref[here, :]
        mixed = mixed * fading[:, None] + dot(
            weights.astype(values.dtype), values, (((1,), (0,)), ((), ()))
        )
        return total * fading + jnp.sum(weights, axis=1), top, mixed

    rows, width = q.shape
    start = (jnp.zeros(rows), jnp.full(rows, LOW), jnp.zeros((rows, width)))
    total, _, mixed = lax.fori_loop(0, pl.cdiv(length, BLOCK), body, start)
    out_ref[...] = mixed / jnp.maximum(total, 1e-30)[:, None]
