"""Greedy decoding and sampling without beams: one sequence per row."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float32, Int

from indextts_jax.sampling.logits import process
from indextts_jax.sampling.loop import Generated, Task, allowed, exponential, repeat, seen_at_first


class DecodeState(NamedTuple):
    """The state between steps."""

    step: Int[Array, ""]  # codes written so far
    codes: Int[Array, "b s"]  # filled with the stop code past the end
    done: Bool[Array, " b"]
    seen: Bool[Array, "b v"]  # what the repetition penalty applies to
    logits: Float32[Array, "b v"]  # for the next code
    cache: Any


def choose(scores: Float32[Array, "b v"], noise: Float32[Array, "b v"] | None) -> Int[Array, " b"]:
    """One code per row: sampled with the noise, or the most likely without."""
    chances = scores if noise is None else jax.nn.softmax(scores) / noise
    return jnp.argmax(chances, axis=-1).astype(jnp.int32)


def pick(task: Task, state: DecodeState) -> DecodeState:
    """Appends each row's next code; the logits and the KV cache are not updated."""
    vocabulary = state.logits.shape[-1]
    # As in the reference, processors get raw logits here, but log-probabilities with beams.
    scores = process(allowed(task, state.logits), state.seen, task.numbers, task.strategy)
    noise = exponential(task.source, state.step, vocabulary) if task.strategy.sample else None
    code = jnp.where(state.done, task.stop_code, choose(scores, noise))
    return state._replace(
        step=state.step + 1,
        codes=state.codes.at[:, state.step].set(code),
        done=state.done | (code == task.stop_code),
        seen=state.seen | (jnp.arange(vocabulary) == code[:, None]),
    )


def advance(task: Task, state: DecodeState) -> DecodeState:
    """One step: append a code to each row, and run the model."""
    index, state = state.step, pick(task, state)
    rows, size = state.codes.shape
    code = lax.dynamic_slice_in_dim(state.codes, index, 1, axis=1)
    logits, cache = task.step(code, index, jnp.zeros((rows, 1, size), jnp.int32), state.cache)
    return state._replace(logits=logits[:, 0], cache=cache)


def begin(task: Task, logits: Float32[Array, "b v"], cache: Any) -> DecodeState:
    """The initial state, from the logits of the first code."""
    rows, vocabulary = logits.shape
    size = task.strategy.max_codes
    return DecodeState(
        step=jnp.zeros((), jnp.int32),
        codes=jnp.full((rows, size), task.stop_code, jnp.int32),
        done=jnp.zeros(rows, bool),
        seen=jnp.broadcast_to(seen_at_first(task, vocabulary), (rows, vocabulary)),
        logits=logits,
        cache=cache,
    )


def finish(state: DecodeState, stop_code: int) -> Generated:
    """The codes of each row."""
    lengths = jnp.sum(state.codes != stop_code, axis=1, dtype=jnp.int32)
    return Generated(state.codes, lengths, lengths == state.codes.shape[1])


def decode(task: Task, logits: Float32[Array, "b v"], cache: Any) -> Generated:
    """Codes of each row until its stop code; `logits` are those of the first code.

    Source: `GenerationMixin._sample` of the PyTorch release.
    """
    state = repeat(task, functools.partial(advance, task), begin(task, logits, cache))
    return finish(state, task.stop_code)
