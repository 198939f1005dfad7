"""Shared parts of the decoding loops: inputs, noise, and the loop itself."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from indextts_jax.sampling.settings import Numbers, Strategy

# Quirk of the reference: it passes ids of 1, then the start code, in place of the prefix. They only
# matter to the repetition penalty, which treats code 1 as seen from the first step on.
FILLER_CODE = 1

FIRST_WINDOW = 128  # codes; first capacity of the KV cache
FIRST_ROOM = 512


class Task(NamedTuple):
    """The inputs of a decoding loop.

    `step(codes, index, ancestry, cache)` takes the codes at step `index` (from 0) of each beam (b
    r) and returns the logits of the next ones (b r v), and the cache; `ancestry` (b r s) gives, for
    each earlier step, the beam that a beam's history was in. `grow(cache, size)` raises the
    capacity to `size` codes.
    """

    step: Callable[[Array, Array, Array, Any], tuple[Array, Any]]
    grow: Callable[[Any, int], Any]
    source: Array  # keys or recorded noise, see `exponential`
    numbers: Numbers
    strategy: Strategy
    start_code: int
    stop_code: int
    reads_filled: bool = False  # a step skips empty parts of the cache


class Generated(NamedTuple):
    """Finished codes."""

    codes: Int[Array, "b s"]  # filled with the stop code past the end
    lengths: Int[Array, " b"]  # codes of each row, without the stop code
    truncated: Bool[Array, " b"]  # whether the buffer was full before a stop code


def exponential(
    source: Key[Array, " b"] | Float[Array, "b steps n"], step: Int[Array, ""], size: int
) -> Float32[Array, "b {size}"]:
    """Exp(1) noise of a step, from one key per row, or as recorded.

    The n largest of probabilities divided by this noise are a sample of n without replacement, as
    in `torch.multinomial`. A row's noise depends only on its own key and the step.
    """
    if jnp.issubdtype(source.dtype, jax.dtypes.prng_key):
        keys = jax.vmap(jax.random.fold_in, (0, None))(source, step)
        noise = jax.vmap(lambda key: jax.random.exponential(key, (size,)))(keys)
    else:
        noise = lax.dynamic_index_in_dim(source, step, axis=1, keepdims=False)
    return jnp.maximum(noise, jnp.finfo(jnp.float32).tiny)  # avoids 0 / 0


def seen_at_first(task: Task, vocabulary: int) -> Bool[Array, " {vocabulary}"]:
    """Codes that the repetition penalty treats as seen before the first step."""
    ids = jnp.arange(vocabulary)
    return (ids == FILLER_CODE) | (ids == task.start_code)


def allowed(task: Task, scores: Float32[Array, "n v"]) -> Float32[Array, "n v"]:
    """Scores with -inf for the start code, unless the strategy allows it."""
    if task.strategy.start_code:
        return scores
    return jnp.where(jnp.arange(scores.shape[-1]) == task.start_code, -jnp.inf, scores)


def windows(size: int, *, reads_filled: bool = False) -> Iterator[int]:
    """Successive capacities of the KV cache, up to `size`.

    Attention runs over the whole capacity, which therefore doubles only as a sequence grows. If a
    step skips empty parts, capacity costs only memory, and two sizes suffice (each one is compiled
    separately).
    """
    window = FIRST_ROOM if reads_filled else FIRST_WINDOW
    while window < size:
        yield window
        window = size if reads_filled else 2 * window
    yield size


def _going(window: int, state: Any) -> Bool[Array, ""]:
    return (state.step < window) & ~jnp.all(state.done)


def repeat(task: Task, advance: Callable[[Any], Any], state: Any) -> Any:
    """Runs steps until every row is done, or the buffer is full."""
    for window in windows(task.strategy.max_codes, reads_filled=task.reads_filled):
        state = state._replace(cache=task.grow(state.cache, window))
        state = lax.while_loop(functools.partial(_going, window), advance, state)
    return state
