"""Attention of a decoding step in one kernel for NVIDIA GPUs, over the filled part of the KV cache.

A row has few queries (its beams), so the time is that of reading keys and values. Several programs
therefore share a head (split keys, as in flash decoding): each reads every sixteenth block of the
prefix and of the codes, as far as the row has filled them. Their results are weighted by the sums
of their exponentials. The number of programs is fixed, so that a row's result is bitwise the same
whatever the batch.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.layers.kernels.attention import LEAST_WIDTH, LOW, WARPS

ALIGNED = 16  # capacities must be multiples of it, for vectorised loads of keys
BLOCK = 64  # entries per iteration
SHARES = 16  # programs per head: enough to fill a GPU with one row of few heads
TINY = 1e-30  # denominator of a share without entries


class Entries(NamedTuple):
    """Keys and values, and how many of them each row has filled; `j` is a multiple of 16."""

    keys: Float[Array, "b h k j"]
    values: Float[Array, "b h j k"]
    filled: Int[Array, " b"]


def attend_filled(
    query: Float[Array, "b h r k"],
    key: Float[Array, "b h r k"],
    value: Float[Array, "b h r k"],
    prefix: Entries,
    codes: Entries,
    inherited: Bool[Array, "b r e"],
    *,
    interpret: bool = False,
) -> Float32[Array, "b h r k"]:
    """Attention of each beam over its own key and value, the prefix, and its inherited codes.

    `inherited` has a column for each entry of the code cache. Scores are divided by the root of the
    width. Entries that are not filled are not read, except keys up to the next multiple of 16.
    `interpret` runs the kernel as plain JAX on any device.
    """
    assert all(entries.keys.shape[3] % ALIGNED == 0 for entries in (prefix, codes))
    batch, heads, beams, width = query.shape
    queries = max(LEAST_WIDTH, 1 << (beams - 1).bit_length())
    shapes = [(batch, heads, SHARES, beams, width), (batch, heads, SHARES, beams)]

    def of_head(array: Array) -> pl.BlockSpec:
        return pl.BlockSpec((None, None, *array.shape[2:]), lambda row, head, _: (row, head, 0, 0))

    def of_share(shape: tuple[int, ...]) -> pl.BlockSpec:
        rest = shape[3:]
        return pl.BlockSpec((None,) * 3 + rest, lambda *place: (*place, *(0 for _ in rest)))

    number = pl.BlockSpec((None,), lambda row, *_: (row,))
    inherited_mask = pl.BlockSpec((None, *inherited.shape[1:]), lambda row, *_: (row, 0, 0))
    tokens = (query, key, value)
    given = [(prefix.keys, prefix.values), (codes.keys, codes.values)]
    call = pl.pallas_call(
        functools.partial(_kernel, queries=queries),
        grid=(batch, heads, SHARES),
        in_specs=[
            *map(of_head, tokens),
            *map(of_head, given[0]),
            number,
            *map(of_head, given[1]),
            number,
            inherited_mask,
        ],
        out_specs=[of_share(shape) for shape in shapes],
        out_shape=[jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        compiler_params=triton.CompilerParams(num_warps=WARPS, num_stages=_stages(query)),
        interpret=interpret,
        name="attend_filled",
    )
    room = min(codes.keys.shape[3], inherited.shape[2])
    means, log_sums = call(
        *tokens,
        *given[0],
        jnp.minimum(prefix.filled, prefix.keys.shape[3]).astype(jnp.int32),
        *given[1],
        jnp.minimum(codes.filled, room).astype(jnp.int32),
        inherited.astype(jnp.int8),
    )
    return jnp.sum(means * jax.nn.softmax(log_sums, axis=2)[..., None], axis=2)


def _stages(query: Float[Array, "b h r k"]) -> int:
    """Blocks loaded at a time: fewer for wide rows, to fit into 99 KB of shared memory."""
    row = query.shape[3] * query.dtype.itemsize
    return 3 if row <= 256 else 2 if row <= 512 else 1


def _kernel(
    query_ref: Any,
    key_ref: Any,
    value_ref: Any,
    prefix_keys_ref: Any,
    prefix_values_ref: Any,
    prefix_filled_ref: Any,
    keys_ref: Any,
    values_ref: Any,
    filled_ref: Any,
    inherited_ref: Any,
    mean_ref: Any,
    log_sum_ref: Any,
    *,
    queries: int,
) -> None:
    """One share of a head: the weighted mean of its values, and the logsumexp of its scores."""
    beams, width = query_ref.shape
    share = pl.program_id(2)
    # `queries` may exceed the number of beams, which Pallas rejects for a constant start of 0.
    all_queries = pl.ds(0 * share, queries)
    beam = jnp.arange(queries)
    there = beam < beams
    dot = functools.partial(
        lax.dot_general,
        precision=lax.Precision.HIGHEST,  # no TF32 for float32
        preferred_element_type=jnp.float32,
    )

    def of_beams(ref: Any) -> Float[Array, "q k"]:
        return triton.load(ref.at[all_queries, :], mask=there[:, None], other=0)

    def walk(keys_ref: Any, values_ref: Any, filled: Array, counts: Any, carry: Any) -> Any:
        def body(i: Int[Array, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, ...]:
            total, highest, mixed = carry
            start = (share + i * SHARES) * BLOCK
            here, position = pl.ds(start, BLOCK), start + jnp.arange(BLOCK)
            written = position < filled
            # A mask whose limit is a multiple of 16 lets Triton load adjacent keys as vectors; with
            # any other limit it loads them one by one.
            near = position < pl.cdiv(filled, ALIGNED) * ALIGNED
            keys = triton.load(keys_ref.at[:, here], mask=near[None], other=0)
            values = triton.load(values_ref.at[here, :], mask=written[:, None], other=0)
            mask = counts(here, written)
            scores = dot(query, keys, (((1,), (0,)), ((), ()))) * width**-0.5
            scores = jnp.where(mask, scores, LOW)
            top = jnp.maximum(highest, jnp.max(scores, axis=1))
            fading = jnp.exp(highest - top)
            weights = jnp.where(mask, jnp.exp(scores - top[:, None]), 0)
            mixed = mixed * fading[:, None] + dot(
                weights.astype(values.dtype), values, (((1,), (0,)), ((), ()))
            )
            return total * fading + jnp.sum(weights, axis=1), top, mixed

        blocks = pl.cdiv(filled, BLOCK)
        return lax.fori_loop(0, pl.cdiv(jnp.maximum(blocks - share, 0), SHARES), body, carry)

    def all_written(here: Any, written: Array) -> Bool[Array, "q j"]:
        return jnp.broadcast_to(written[None], (queries, BLOCK))

    def inherited_mask(here: Any, written: Array) -> Bool[Array, "q j"]:
        mask = there[:, None] & written[None]
        return triton.load(inherited_ref.at[all_queries, here], mask=mask, other=0) != 0

    query, key = of_beams(query_ref), of_beams(key_ref)
    itself = jnp.sum(query.astype(jnp.float32) * key.astype(jnp.float32), axis=1) * width**-0.5
    first = jnp.broadcast_to(share == 0, (queries,))  # the share that adds a beam's own key
    carry = (
        jnp.where(first, 1.0, 0.0),
        jnp.where(first, itself, LOW),
        jnp.where(first[:, None], of_beams(value_ref).astype(jnp.float32), 0),
    )
    carry = walk(prefix_keys_ref, prefix_values_ref, prefix_filled_ref[...], all_written, carry)
    total, highest, mixed = walk(keys_ref, values_ref, filled_ref[...], inherited_mask, carry)
    total = jnp.maximum(total, TINY)
    triton.store(mean_ref.at[all_queries, :], mixed / total[:, None], mask=there[:, None])
    triton.store(log_sum_ref.at[all_queries], highest + jnp.log(total), mask=there)
