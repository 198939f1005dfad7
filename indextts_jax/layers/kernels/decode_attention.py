"""Attention of a decoding step in one kernel for NVIDIA GPUs, over the filled part of the KV cache.

A row has few queries (its beams), so the time is that of reading keys and values. Several programs
therefore share a head (split keys, as in flash decoding): each reads every sixteenth block of the
prefix and of the codes, as far as the row has filled them. Their results are weighted by the sums
of their exponentials. The number of programs is fixed, so that a row's result is bitwise the same
whatever the batch. The first program of a head also writes the beams' own entries to the cache.
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

BLOCK = 64  # entries per iteration
SHARES = 16  # programs per head: enough to fill a GPU with one row of few heads
TINY = 1e-30  # denominator of a share without entries


class Filled(NamedTuple):
    """How many entries of a row's cache are filled: of the prefix, and of the codes behind it."""

    prefix: Int[Array, " b"]
    codes: Int[Array, " b"]


def attend_filled(
    tokens: Float[Array, "m 3 h k"],
    keys: Float[Array, "b h j k"],
    values: Float[Array, "b h j k"],
    filled: Filled,
    inherited: Bool[Array, "b r e"],
    *,
    interpret: bool = False,
) -> tuple[Float32[Array, "n h k"], Float[Array, "b h j k"], Float[Array, "b h j k"]]:
    """Attention of each beam over its own entry, the prefix, and its inherited codes.

    `tokens` are the queries, keys and values of each row's beams, `n` together, and perhaps padding
    behind them. The last `e` entries of the caches are for
    codes; `inherited` says which of them each beam may attend to. The caches are returned with the
    beams' own entries behind the filled ones, updated in place. Scores are divided by the root of
    the width. Entries that are not filled are not read. `interpret` runs the kernel as plain JAX on
    any device.
    """
    (batch, heads, size, width), (_, beams, codes) = keys.shape, inherited.shape
    queries = max(LEAST_WIDTH, 1 << (beams - 1).bit_length())
    shapes = [(batch, heads, SHARES, beams, width), (batch, heads, SHARES, beams)]

    def of_share(shape: tuple[int, ...]) -> pl.BlockSpec:
        rest = shape[3:]
        return pl.BlockSpec((None,) * 3 + rest, lambda *place: (*place, *(0 for _ in rest)))

    of_tokens = pl.BlockSpec((beams, 3, None, width), lambda row, head, _: (row, 0, head, 0))
    cache = pl.BlockSpec((None, None, size, width), lambda row, head, _: (row, head, 0, 0))
    number = pl.BlockSpec((None,), lambda row, *_: (row,))
    mask = pl.BlockSpec((None, beams, codes), lambda row, *_: (row, 0, 0))
    means, log_sums, keys, values = pl.pallas_call(
        functools.partial(_kernel, queries=queries, start=size - codes),
        grid=(batch, heads, SHARES),
        in_specs=[of_tokens, cache, cache, number, number, mask],
        out_specs=[*(of_share(shape) for shape in shapes), cache, cache],
        out_shape=[
            *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes),
            *(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in (keys, values)),
        ],
        input_output_aliases={1: 2, 2: 3},
        compiler_params=triton.CompilerParams(num_warps=WARPS, num_stages=_stages(tokens)),
        interpret=interpret,
        name="attend_filled",
    )(
        tokens,
        keys,
        values,
        jnp.minimum(filled.prefix, size - codes).astype(jnp.int32),
        jnp.minimum(filled.codes, codes - beams).astype(jnp.int32),
        inherited.astype(jnp.int8),
    )
    return _combined(means, log_sums), keys, values


def _combined(
    means: Float32[Array, "b h shares r k"], log_sums: Float32[Array, "b h shares r"]
) -> Float32[Array, "n h k"]:
    """The mean of the shares, weighted by their sums.

    Written out share by share: XLA makes one kernel of it, but three of a softmax over an axis.
    """
    means, log_sums = jnp.moveaxis(means, 3, 1), jnp.moveaxis(log_sums, 3, 1)[..., None]
    each = [(means[:, :, :, n], log_sums[:, :, :, n]) for n in range(SHARES)]
    highest = functools.reduce(jnp.maximum, [log_sum for _, log_sum in each])
    weights = [jnp.exp(log_sum - highest) for _, log_sum in each]
    mixed = [mean * weight for (mean, _), weight in zip(each, weights, strict=True)]
    mean = sum(mixed[1:], mixed[0]) / sum(weights[1:], weights[0])  # b r h k
    return mean.reshape(-1, *mean.shape[2:])


def _stages(tokens: Float[Array, "m 3 h k"]) -> int:
    """Blocks loaded at a time: fewer for wide rows, to fit into 99 KB of shared memory."""
    row = tokens.shape[3] * tokens.dtype.itemsize
    return 3 if row <= 256 else 2 if row <= 512 else 1


def _kernel(
    tokens_ref: Any,
    keys_ref: Any,
    values_ref: Any,
    prefix_filled_ref: Any,
    filled_ref: Any,
    inherited_ref: Any,
    mean_ref: Any,
    log_sum_ref: Any,
    keys_out_ref: Any,
    values_out_ref: Any,
    *,
    queries: int,
    start: int,
) -> None:
    """One share of a head: the weighted mean of its values, and the logsumexp of its scores."""
    beams, _, width = tokens_ref.shape
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

    def of_beams(which: int) -> Float[Array, "q k"]:
        place = which + 0 * share  # interpreted, an index must be an array
        return triton.load(tokens_ref.at[all_queries, place, :], mask=there[:, None], other=0)

    def walk(start: int, filled: Array, counts: Any, carry: Any) -> Any:
        def body(i: Int[Array, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, ...]:
            total, highest, mixed = carry
            first = (share + i * SHARES) * BLOCK
            here = pl.ds(start + first, BLOCK)
            written = first + jnp.arange(BLOCK) < filled
            keys = triton.load(keys_ref.at[here, :], mask=written[:, None], other=0)
            values = triton.load(values_ref.at[here, :], mask=written[:, None], other=0)
            mask = counts(pl.ds(first, BLOCK), written)
            scores = dot(query, keys, (((1,), (1,)), ((), ()))) * width**-0.5
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

    query, key, value = (of_beams(which) for which in range(3))
    filled = filled_ref[...]
    # Not read by any program: they end before these entries, and take them from `tokens`.
    own = pl.ds(start + filled, queries)
    once = there[:, None] & (share == 0)
    triton.store(keys_out_ref.at[own, :], key, mask=once)
    triton.store(values_out_ref.at[own, :], value, mask=once)

    itself = jnp.sum(query.astype(jnp.float32) * key.astype(jnp.float32), axis=1) * width**-0.5
    first = jnp.broadcast_to(share == 0, (queries,))  # the share that adds a beam's own key
    carry = (
        jnp.where(first, 1.0, 0.0),
        jnp.where(first, itself, LOW),
        jnp.where(first[:, None], value.astype(jnp.float32), 0),
    )
    carry = walk(0, prefix_filled_ref[...], all_written, carry)
    total, highest, mixed = walk(start, filled, inherited_mask, carry)
    total = jnp.maximum(total, TINY)
    triton.store(mean_ref.at[all_queries, :], mixed / total[:, None], mask=there[:, None])
    triton.store(log_sum_ref.at[all_queries], highest + jnp.log(total), mask=there)
