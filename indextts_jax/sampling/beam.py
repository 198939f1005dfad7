"""Beam search and beam sampling, independently for each row of a batch."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float32, Int, Shaped

from indextts_jax.sampling.logits import process
from indextts_jax.sampling.loop import Generated, Task, allowed, exponential, repeat, seen_at_first

HOPELESS = -1e9  # initial score of all beams but the first, so that they do not repeat it


class Hypotheses(NamedTuple):
    """The best finished sequences of each row, one slot per beam."""

    codes: Int[Array, "b r s"]  # filled with the stop code past the end
    lengths: Int[Array, "b r"]  # without the stop code
    scores: Float32[Array, "b r"]  # after the length penalty; -inf in empty slots
    added: Int[Array, "b r"]  # order of insertion, to break ties; -1 in empty slots


class Candidates(NamedTuple):
    """Continuations of a row's beams, best first: two per beam."""

    scores: Float32[Array, "b c"]
    beams: Int[Array, "b c"]
    codes: Int[Array, "b c"]


class BeamState(NamedTuple):
    """The state between steps."""

    step: Int[Array, ""]  # codes written so far
    codes: Int[Array, "b r s"]  # of unfinished beams, filled with the stop code past the end
    scores: Float32[Array, "b r"]
    ancestry: Int[Array, "b r s"]  # the beam that each beam's history was in, at each step
    seen: Bool[Array, "b r v"]  # what the repetition penalty applies to
    finished: Hypotheses
    done: Bool[Array, " b"]
    logits: Float32[Array, "b r v"]  # for the next code
    cache: Any


def candidates(totals: Float32[Array, "b r v"], noise: Float32[Array, "b n"] | None) -> Candidates:
    """The continuations with the best totals, or with noise, a sample without replacement.

    All beams of a row compete in one draw. If too few entries have a positive probability, the best
    of the others are added, so that a beam with a finite score is never replaced by one with -inf.
    """
    rows, beams, vocabulary = totals.shape
    flat = totals.reshape(rows, -1)
    if noise is None:
        scores, index = lax.top_k(flat, 2 * beams)
    else:
        chances = jax.nn.softmax(flat)
        rest = flat - jnp.max(flat, axis=-1, keepdims=True)  # below zero
        drawn = lax.top_k(jnp.where(chances > 0, chances / noise, rest), 2 * beams)[1]
        scores, order = lax.top_k(jnp.take_along_axis(flat, drawn, -1), 2 * beams)
        index = jnp.take_along_axis(drawn, order, -1)
    return Candidates(scores, index // vocabulary, index % vocabulary)


def add(
    store: Hypotheses,
    offered: Bool[Array, " b"],
    codes: Int[Array, "b s"],
    length: Int[Array, ""],
    scores: Float32[Array, " b"],
) -> Hypotheses:
    """Adds one sequence per row to the store, where it is offered and good enough.

    In a full store it replaces the worst (the earliest of equals), if it is better.

    Source: `BeamHypotheses.add` of transformers.
    """
    lowest = store.scores == _reduced(jnp.minimum, store.scores)[:, None]
    age = jnp.where(lowest, store.added, jnp.iinfo(jnp.int32).max)
    earliest, slot = _reduced(jnp.minimum, age), jnp.zeros(len(age), jnp.int32)
    for beam in reversed(range(age.shape[1])):
        slot = jnp.where(age[:, beam] == earliest, beam, slot)
    here = jnp.arange(store.added.shape[1]) == slot[:, None]  # b r
    room = here & ((store.added < 0) | (scores[:, None] > store.scores))
    place = room & offered[:, None]
    number = _reduced(jnp.maximum, store.added)[:, None] + 1
    return Hypotheses(
        codes=jnp.where(place[..., None], codes[:, None], store.codes),
        lengths=jnp.where(place, length, store.lengths),
        scores=jnp.where(place, scores[:, None], store.scores),
        added=jnp.where(place, number, store.added),
    )


def _reduced(operation: Callable[[Array, Array], Array], x: Shaped[Array, "b r"]) -> Array:
    """A reduction over few columns, written out.

    XLA for GPUs makes a kernel of each `jnp.min`, but one of all operations by element.
    """
    return functools.reduce(operation, [x[:, column] for column in range(x.shape[1])])


def _going_on(stops: Bool[Array, "b c"], beams: int) -> Int[Array, "b {beams}"]:
    """The first candidates that do not stop, filled up with the first ones that do.

    Their ranks are counted: XLA for GPUs would run several kernels for a sort.
    """
    columns = [stops[:, n] for n in range(stops.shape[1])]
    going, ranks = jnp.zeros(len(stops), jnp.int32), []
    stopped = sum((~stop).astype(jnp.int32) for stop in columns)
    for stop in columns:
        ranks.append(jnp.where(stop, stopped, going))
        going, stopped = going + ~stop, stopped + stop
    place = jnp.arange(beams)
    found = jnp.zeros((len(stops), beams), jnp.int32)
    for n, rank in enumerate(ranks):
        found = jnp.where(rank[:, None] == place, n, found)
    return found


def select(
    state: BeamState, ranked: Candidates, length_penalty: Float32[Array, ""], stop_code: int
) -> BeamState:
    """Appends each beam's next code, and moves finished beams to the store.

    The logits and the KV cache are not updated.

    Source: `BeamSearchScorer.process` of transformers.
    """
    beams = state.scores.shape[1]
    stops = ranked.codes == stop_code
    divisor = (state.step + 1).astype(jnp.float32) ** length_penalty  # counts the stop code
    store = state.finished
    for rank in range(beams):  # as in the reference, a stop code ranked lower is ignored
        parent = ranked.beams[:, rank, None, None]
        store = add(
            store,
            stops[:, rank] & ~state.done,
            jnp.take_along_axis(state.codes, parent, axis=1)[:, 0],
            state.step,
            ranked.scores[:, rank] / divisor,
        )
    full = _reduced(jnp.minimum, store.added) >= 0
    hopeless = _reduced(jnp.minimum, store.scores) >= ranked.scores[:, 0] / divisor

    going = _going_on(stops, beams)
    parents = jnp.take_along_axis(ranked.beams, going, axis=1)
    new = jnp.take_along_axis(ranked.codes, going, axis=1)

    def inherited(history: Array) -> Array:
        return jnp.take_along_axis(history, parents[..., None], axis=1)

    return state._replace(
        step=state.step + 1,
        codes=inherited(state.codes).at[:, :, state.step].set(new),
        scores=jnp.take_along_axis(ranked.scores, going, axis=1),
        ancestry=inherited(state.ancestry).at[:, :, state.step].set(jnp.arange(beams)),
        seen=inherited(state.seen) | (jnp.arange(state.seen.shape[-1]) == new[..., None]),
        finished=store,
        done=state.done | (full & hopeless),
    )


def finish(state: BeamState, length_penalty: Float32[Array, ""]) -> Generated:
    """The best sequence of each row, including the unfinished beams of rows that are not done.

    Source: `BeamSearchScorer.finalize` of transformers.
    """
    scores = state.scores / state.step.astype(jnp.float32) ** length_penalty
    store = state.finished
    for beam in range(scores.shape[1]):
        store = add(store, ~state.done, state.codes[:, beam], state.step, scores[:, beam])
    highest = store.scores == jnp.max(store.scores, axis=1, keepdims=True)
    best = jnp.argmax(jnp.where(highest, store.added, -1), axis=1, keepdims=True)
    codes = jnp.take_along_axis(store.codes, best[..., None], axis=1)[:, 0]
    lengths = jnp.take_along_axis(store.lengths, best, axis=1)[:, 0]
    return Generated(codes, lengths, lengths == codes.shape[1])


def pick(task: Task, state: BeamState) -> BeamState:
    """Appends each beam's next code; the logits and the KV cache are not updated."""
    shape, vocabulary = state.logits.shape, state.logits.shape[-1]
    scores = process(
        allowed(task, jax.nn.log_softmax(state.logits).reshape(-1, vocabulary)),
        state.seen.reshape(-1, vocabulary),
        task.numbers,
        task.strategy,
    )
    draws = task.strategy.beams * vocabulary
    noise = exponential(task.source, state.step, draws) if task.strategy.sample else None
    ranked = candidates(scores.reshape(shape) + state.scores[..., None], noise)
    return select(state, ranked, task.numbers.length_penalty, task.stop_code)


def advance(task: Task, state: BeamState) -> BeamState:
    """One step: rank continuations, append each beam's next code, and run the model."""
    index, state = state.step, pick(task, state)
    codes = lax.dynamic_index_in_dim(state.codes, index, axis=2, keepdims=False)
    logits, cache = task.step(codes, index, state.ancestry, state.cache)
    return state._replace(logits=logits, cache=cache)


def begin(task: Task, logits: Float32[Array, "b v"], cache: Any) -> BeamState:
    """The initial state, from the logits of the first code."""
    (rows, vocabulary), beams, size = logits.shape, task.strategy.beams, task.strategy.max_codes
    codes = jnp.full((rows, beams, size), task.stop_code, jnp.int32)
    none = jnp.full((rows, beams), -1, jnp.int32)
    return BeamState(
        step=jnp.zeros((), jnp.int32),
        codes=codes,
        scores=jnp.broadcast_to(jnp.where(jnp.arange(beams) == 0, 0.0, HOPELESS), none.shape),
        ancestry=jnp.zeros_like(codes),
        seen=jnp.broadcast_to(seen_at_first(task, vocabulary), (rows, beams, vocabulary)),
        finished=Hypotheses(codes, none, jnp.full(none.shape, -jnp.inf), none),
        done=jnp.zeros(rows, bool),
        logits=jnp.broadcast_to(logits[:, None], (rows, beams, vocabulary)),
        cache=cache,
    )


def beam_search(task: Task, logits: Float32[Array, "b v"], cache: Any) -> Generated:
    """The best codes found for each row; `logits` are those of the first code.

    With sampling, continuations are drawn instead of ranked.

    Source: `GenerationMixin._beam_search` of the PyTorch release.
    """
    state = begin(task, logits, cache)
    state = repeat(task, functools.partial(advance, task), state)
    return finish(state, task.numbers.length_penalty)
