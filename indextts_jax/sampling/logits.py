"""Logits processors, in the reference's order.

Each takes scores with one row per sequence, and returns scores of the same shape, with -inf for
removed ids.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.sampling.settings import Numbers, Strategy

FEW = 128  # if top-k keeps no more than these, they are sorted instead of the whole vocabulary
# XLA for GPUs has a kernel for up to 16 of at least 1,024 numbers.
GROUP_TOP, LEAST_GROUP = 16, 1024


def repetition_penalty(
    scores: Float[Array, "n v"], seen: Bool[Array, "n v"], penalty: float | Float[Array, ""]
) -> Float[Array, "n v"]:
    """Divides scores of seen ids by the penalty, or multiplies negative ones, once per id."""
    penalised = jnp.where(scores < 0, scores * penalty, scores / penalty)
    return jnp.where(seen, penalised, scores)


def typical(
    scores: Float[Array, "n v"], mass: float | Float[Array, ""], keep: int
) -> Float[Array, "n v"]:
    """Typical sampling: keeps a probability of `mass`, with surprisal nearest to the entropy.

    At least `keep` of them are kept.

    Source: `TypicalLogitsWarper` of the PyTorch release.
    """
    logs = jax.nn.log_softmax(scores)
    products = jnp.exp(logs) * logs
    entropy = -jnp.sum(jnp.where(jnp.isnan(products), 0.0, products), -1, keepdims=True)
    distance = jnp.abs(-logs - entropy)
    order = jnp.argsort(distance, axis=-1, stable=True)
    held = jnp.cumsum(jax.nn.softmax(jnp.take_along_axis(scores, order, -1)), -1)
    last = jnp.minimum(jnp.sum(held < mass, -1, keepdims=True), scores.shape[-1] - 1)
    farthest = jnp.take_along_axis(jnp.take_along_axis(distance, order, -1), last, -1)
    kept = (distance <= farthest) | (_ranks(order) < keep)
    return jnp.where(kept, scores, -jnp.inf)


def top_k(
    scores: Float[Array, "n v"], k: int | Int[Array, ""] | Int[Array, " n"], keep: int
) -> Float[Array, "n v"]:
    """Keeps the `k` highest scores (at least `keep`), and ties with the lowest of these."""
    size = scores.shape[-1]
    k = jnp.broadcast_to(k, len(scores))
    count = jnp.where(k > 0, jnp.clip(k, min(keep, size), size), size)
    ordered = jnp.sort(scores, axis=-1)
    least = jnp.take_along_axis(ordered, (size - count)[:, None], axis=-1)
    return jnp.where(scores < least, -jnp.inf, scores)


def top_p(
    scores: Float[Array, "n v"], cut: float | Float[Array, ""] | Float[Array, " n"], keep: int
) -> Float[Array, "n v"]:
    """Removes the lowest scores, with a total probability of at most `cut`.

    At least the `keep` highest are kept. A `cut` of 0 removes nothing.
    """
    order = jnp.argsort(scores, axis=-1, stable=True)
    removed = _removed(jnp.take_along_axis(scores, order, -1), cut, keep)
    return jnp.where(_ranks(order) < removed[:, None], -jnp.inf, scores)


def _removed(
    ordered: Float[Array, "n v"], cut: float | Float[Array, ""] | Float[Array, " n"], keep: int
) -> Int[Array, " n"]:
    """How many of the lowest scores `top_p` removes, from scores in ascending order."""
    cut = jnp.broadcast_to(cut, len(ordered))
    held = jnp.cumsum(jax.nn.softmax(ordered), -1)
    removed = jnp.where(cut > 0, jnp.sum(held <= cut[:, None], -1), 0)
    return jnp.minimum(removed, ordered.shape[-1] - keep)


def top_k_and_p(
    scores: Float[Array, "n v"],
    k: int | Int[Array, ""],
    cut: float | Float[Array, ""],
    keep: int,
) -> Float[Array, "n v"]:
    """`top_k`, then `top_p`.

    If `top_k` keeps few scores, only those are sorted: sorting the whole vocabulary costs
    milliseconds per step on a CPU.
    """
    rows = len(scores)
    return _filter(keep)(scores, jnp.broadcast_to(k, rows), jnp.broadcast_to(cut, rows))


def _highest(
    scores: Float[Array, "n v"], count: int
) -> tuple[Float[Array, "n c"], Int[Array, "n c"]]:
    """The highest scores and their ids, in any order; on GPUs perhaps lower ones in place of some.

    XLA for GPUs sorts the whole vocabulary, in several kernels, for more than `GROUP_TOP` of them.
    So there the highest of each of a few groups are taken, of which no group should have more. The
    caller counts the scores to know.
    """
    size = scores.shape[-1]
    groups = count // GROUP_TOP
    if count % GROUP_TOP or groups < 2 or size < groups * LEAST_GROUP:
        best, ids = lax.top_k(scores, count)
        return best, ids

    found: tuple[Array, Array] = lax.platform_dependent(
        scores,
        cuda=functools.partial(_highest_of_groups, groups=groups),
        default=lambda scores: tuple(lax.top_k(scores, count)),
    )
    return found


def _highest_of_groups(
    scores: Float[Array, "n v"], groups: int
) -> tuple[Float[Array, "n c"], Int[Array, "n c"]]:
    """The highest of each group and their ids; every `groups`-th id is in the same group.

    Similar codes have adjacent ids, and so are in different groups.
    """
    rows, size = scores.shape
    padded = jnp.pad(scores, ((0, 0), (0, -size % groups)), constant_values=-jnp.inf)
    parts = padded.reshape(rows, -1, groups).swapaxes(1, 2).reshape(rows * groups, -1)
    highest, places = lax.top_k(parts, GROUP_TOP)
    ids = places.reshape(rows, groups, -1) * groups + jnp.arange(groups)[:, None]
    return highest.reshape(rows, -1), ids.reshape(rows, -1)


@functools.cache
def _filter(keep: int) -> Callable[..., Float[Array, "n v"]]:
    @jax.custom_batching.custom_vmap
    def filtered(
        scores: Float[Array, "n v"], k: Int[Array, " n"], cut: Float[Array, " n"]
    ) -> Float[Array, "n v"]:
        few = min(FEW, scores.shape[-1])
        # Sorted by score, ties by id, to match the stable sort of the whole vocabulary.
        highest, ids = lax.sort(_highest(scores, few), num_keys=2)
        count = jnp.clip(k, min(keep, few), few)
        least = jnp.take_along_axis(highest, (few - count)[:, None], axis=-1)
        among = jnp.sum(highest >= least, axis=-1)  # all of them, if `highest` has all
        suffice = (k > 0) & (k <= few) & (jnp.sum(scores >= least, axis=-1) == among)
        listed = jnp.where(highest < least, -jnp.inf, highest)
        first = jnp.maximum(few - among, _removed(listed, cut, keep))[:, None]
        score, place = (jnp.take_along_axis(a, first, axis=-1) for a in (highest, ids))
        stay = (scores > score) | ((scores == score) & (jnp.arange(scores.shape[-1]) >= place))
        left = jnp.where(stay, scores, -jnp.inf)

        def with_the_others() -> Float[Array, "n v"]:
            among_all = top_p(top_k(scores, k, keep), cut, keep)
            return jnp.where(suffice[:, None], left, among_all)

        return lax.cond(jnp.all(suffice), lambda: left, with_the_others)

    @filtered.def_vmap
    def side_by_side(
        size: int, batched: Sequence[bool], *given: Array
    ) -> tuple[Float[Array, "b n v"], bool]:
        # The batch becomes further rows: `vmap` would turn the `cond` into a `select`, which runs
        # both branches.
        flat = [
            (array if has else jnp.broadcast_to(array, (size, *array.shape)))
            for array, has in zip(given, batched, strict=True)
        ]
        found = filtered(*(array.reshape(-1, *array.shape[2:]) for array in flat))
        return found.reshape(flat[0].shape), True

    return filtered


def _ranks(order: Int[Array, "n v"]) -> Int[Array, "n v"]:
    """The rank of each id: the inverse permutation of `order`."""
    places = jnp.broadcast_to(jnp.arange(order.shape[-1]), order.shape)
    return jnp.put_along_axis(jnp.zeros_like(order), order, places, axis=-1, inplace=False)


def process(
    scores: Float[Array, "n v"],
    seen: Bool[Array, "n v"],
    numbers: Numbers,
    strategy: Strategy,
) -> Float[Array, "n v"]:
    """Applies all processors, in the reference's order."""
    scores = repetition_penalty(scores, seen, numbers.repetition_penalty)
    if strategy.typical:
        scores = typical(scores, numbers.typical_mass, strategy.keep)
    if strategy.sample:
        scores = scores / numbers.temperature
        scores = top_k_and_p(scores, numbers.top_k, numbers.cut, strategy.keep)
    return scores
