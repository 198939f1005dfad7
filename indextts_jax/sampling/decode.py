"""Codes one after the other, one sequence a row: greedy decoding and plain sampling.

Also what both loops share: the model calls they are given, the noise behind each draw, and the
windows in which they run.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from indextts_jax.sampling.logits import process
from indextts_jax.sampling.settings import Numbers, Strategy

# The reference gives its driver a row of ones, then the start code, in place of the prefix. Nothing
# but the repetition penalty looks at them: it takes code 1 for seen from the first step on.
FILLER_CODE = 1

FIRST_WINDOW = 256  # codes


class Model(NamedTuple):
    """The calls that a loop makes.

    `step(codes, index, lineage, cache)` takes code number `index` (from 0) of each beam (b r), and
    gives the logits of the next (b r v) and the cache; `lineage` (b r s) says for each earlier step
    in which beam a beam's history was then. `grow(cache, size)` makes room for `size` codes.
    """

    step: Callable[[Array, Array, Array, Any], tuple[Array, Any]]
    grow: Callable[[Any, int], Any]


class Rules(NamedTuple):
    """What a loop must know of the vocabulary."""

    start_code: int
    stop_code: int


class Generated(NamedTuple):
    """Finished codes."""

    codes: Int[Array, "b s"]  # filled with the stop code past the end
    lengths: Int[Array, " b"]  # codes of each row, without the stop code
    truncated: Bool[Array, " b"]  # whether the buffer was full before a stop code came


class DecodeState(NamedTuple):
    """What one step hands to the next."""

    step: Int[Array, ""]  # codes written so far
    codes: Int[Array, "b s"]  # filled with the stop code past the end
    done: Bool[Array, " b"]
    seen: Bool[Array, "b v"]  # what the repetition penalty applies to
    logits: Float32[Array, "b v"]  # of the next code
    cache: Any


def exponential(
    source: Key[Array, " b"] | Float[Array, "b steps n"], step: Int[Array, ""], size: int
) -> Float32[Array, "b n"]:
    """Exp(1) noise of a step, from a key for each row or as recorded.

    Dividing probabilities by it and taking the n largest is drawing n without replacement. A row's
    noise depends on its own key and the step, nothing else.
    """
    if jnp.issubdtype(source.dtype, jax.dtypes.prng_key):
        keys = jax.vmap(jax.random.fold_in, (0, None))(source, step)
        noise = jax.vmap(lambda key: jax.random.exponential(key, (size,)))(keys)
    else:
        noise = lax.dynamic_index_in_dim(source, step, axis=1, keepdims=False)
    return jnp.maximum(noise, jnp.finfo(jnp.float32).tiny)


def choose(scores: Float32[Array, "b v"], noise: Float32[Array, "b v"] | None) -> Int[Array, " b"]:
    """One code a row: drawn with the noise, or the best without."""
    if noise is None:
        return jnp.argmax(scores, axis=-1).astype(jnp.int32)
    return jnp.argmax(jax.nn.softmax(scores) / noise, axis=-1).astype(jnp.int32)


def first_seen(rows: int, vocabulary: int, rules: Rules) -> Bool[Array, "b v"]:
    """What counts as seen before the first code."""
    ids = jnp.arange(vocabulary)
    seen = (ids == FILLER_CODE) | (ids == rules.start_code)
    return jnp.broadcast_to(seen, (rows, vocabulary))


State = TypeVar("State", DecodeState, Any)


def windows(size: int) -> Iterator[int]:
    """Ever larger caches, the last of `size`: short sequences never pay for the longest."""
    window = FIRST_WINDOW
    while window < size:
        yield window
        window *= 2
    yield size


def repeat(
    advance: Callable[[State], State], state: State, model: Model, strategy: Strategy
) -> State:
    """Steps until every row is done, or the buffer is full."""
    for window in windows(strategy.max_codes):

        def going(state: State, window: int = window) -> Bool[Array, ""]:
            return (state.step < window) & ~jnp.all(state.done)

        state = state._replace(cache=model.grow(state.cache, window))
        state = lax.while_loop(going, advance, state)
    return state


def advance(
    model: Model,
    source: Key[Array, " b"] | Float[Array, "b steps n"],
    numbers: Numbers,
    strategy: Strategy,
    rules: Rules,
    state: DecodeState,
) -> DecodeState:
    """One step: choose a code in each row, and run the model on it."""
    rows, vocabulary = state.logits.shape
    # Unlike beams, which start from log-probabilities.
    scores = process(state.logits, state.seen, numbers, strategy)
    noise = exponential(source, state.step, vocabulary) if strategy.sample else None
    code = jnp.where(state.done, rules.stop_code, choose(scores, noise))
    lineage = jnp.zeros((rows, 1, strategy.max_codes), jnp.int32)
    logits, cache = model.step(code[:, None], state.step, lineage, state.cache)
    return DecodeState(
        step=state.step + 1,
        codes=state.codes.at[:, state.step].set(code),
        done=state.done | (code == rules.stop_code),
        seen=state.seen | (jnp.arange(vocabulary) == code[:, None]),
        logits=logits[:, 0],
        cache=cache,
    )


def decode(
    model: Model,
    logits: Float32[Array, "b v"],
    cache: Any,
    source: Key[Array, " b"] | Float[Array, "b steps n"],
    numbers: Numbers,
    strategy: Strategy,
    rules: Rules,
) -> Generated:
    """Codes of each row until its stop code; `logits` are those of the first code.

    Source: `GenerationMixin._sample` of the PyTorch release.
    """
    rows, vocabulary = logits.shape
    state = DecodeState(
        step=jnp.zeros((), jnp.int32),
        codes=jnp.full((rows, strategy.max_codes), rules.stop_code, jnp.int32),
        done=jnp.zeros(rows, bool),
        seen=first_seen(rows, vocabulary, rules),
        logits=logits,
        cache=cache,
    )
    codes = repeat(
        lambda state: advance(model, source, numbers, strategy, rules, state),
        state,
        model,
        strategy,
    ).codes
    lengths = jnp.sum(codes != rules.stop_code, axis=1, dtype=jnp.int32)
    return Generated(codes, lengths, lengths == strategy.max_codes)
