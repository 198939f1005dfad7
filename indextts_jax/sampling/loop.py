"""What the loops over codes share: what they are given, their noise, and how they run."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from indextts_jax.sampling.settings import Numbers, Strategy

# The reference gives its driver a row of ones, then the start code, in place of the prefix. Nothing
# but the repetition penalty looks at them: it takes code 1 for seen from the first step on.
FILLER_CODE = 1

FIRST_WINDOW = 128  # codes
FIRST_ROOM = 512


class Task(NamedTuple):
    """What a loop is given.

    `step(codes, index, ancestry, cache)` takes code number `index` (from 0) of each beam (b r) and
    gives the logits of the next one (b r v), and the cache; `ancestry` (b r s) says, for each
    earlier step, in which beam a beam's history was then. `grow(cache, size)` makes room for `size`
    codes.
    """

    step: Callable[[Array, Array, Array, Any], tuple[Array, Any]]
    grow: Callable[[Any, int], Any]
    source: Array  # of the noise, see `exponential`
    numbers: Numbers
    strategy: Strategy
    start_code: int
    stop_code: int
    reads_filled: bool = False  # a step leaves out what of the cache holds nothing


class Generated(NamedTuple):
    """Finished codes."""

    codes: Int[Array, "b s"]  # filled with the stop code past the end
    lengths: Int[Array, " b"]  # codes of each row, without the stop code
    truncated: Bool[Array, " b"]  # whether the buffer was full before a stop code came


def exponential(
    source: Key[Array, " b"] | Float[Array, "b steps n"], step: Int[Array, ""], size: int
) -> Float32[Array, "b {size}"]:
    """Exp(1) noise of a step, from a key for each row or as recorded.

    To divide probabilities by it and take the largest few is to draw so many without replacement.
    A row's noise depends on its own key and the step, nothing else.
    """
    if jnp.issubdtype(source.dtype, jax.dtypes.prng_key):
        keys = jax.vmap(jax.random.fold_in, (0, None))(source, step)
        noise = jax.vmap(lambda key: jax.random.exponential(key, (size,)))(keys)
    else:
        noise = lax.dynamic_index_in_dim(source, step, axis=1, keepdims=False)
    return jnp.maximum(noise, jnp.finfo(jnp.float32).tiny)  # never zero over zero


def seen_at_first(task: Task, vocabulary: int) -> Bool[Array, " {vocabulary}"]:
    """What the repetition penalty takes for seen before the first code."""
    ids = jnp.arange(vocabulary)
    return (ids == FILLER_CODE) | (ids == task.start_code)


def allowed(task: Task, scores: Float32[Array, "n v"]) -> Float32[Array, "n v"]:
    """The scores of the codes that may be chosen; the start code's is -inf unless it may be."""
    if task.strategy.start_code:
        return scores
    return jnp.where(jnp.arange(scores.shape[-1]) == task.start_code, -jnp.inf, scores)


def windows(size: int, *, reads_filled: bool = False) -> Iterator[int]:
    """Sizes of the cache in turn, the last of them `size`.

    Attention runs over the whole cache: so a short sequence never pays for the longest. Where a
    step leaves out what holds nothing, it pays for memory only, and two sizes do: each is compiled
    apart.
    """
    window = FIRST_ROOM if reads_filled else FIRST_WINDOW
    while window < size:
        yield window
        window = size if reads_filled else 2 * window
    yield size


def _going(window: int, state: Any) -> Bool[Array, ""]:
    return (state.step < window) & ~jnp.all(state.done)


def repeat(task: Task, advance: Callable[[Any], Any], state: Any) -> Any:
    """The state after steps until every row is done, or the buffer is full."""
    for window in windows(task.strategy.max_codes, reads_filled=task.reads_filled):
        state = state._replace(cache=task.grow(state.cache, window))
        state = lax.while_loop(functools.partial(_going, window), advance, state)
    return state
