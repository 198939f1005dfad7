"""The codes that a search can no longer take back, while it still runs."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int

from indextts_jax.sampling.beam import BeamState
from indextts_jax.sampling.decode import DecodeState


class Agreed(NamedTuple):
    """The beginning of the result that is already certain."""

    codes: Int[Array | np.ndarray, "b s"]  # undefined past the agreed ones
    lengths: Int[Array | np.ndarray, " b"]  # agreed codes
    decided: Bool[
        Array | np.ndarray, " b"
    ]  # they are the whole result, although the search may go on


def of_sequences(state: DecodeState, stop_code: int) -> Agreed:
    """Without beams every code is certain."""
    lengths = jnp.sum(state.codes != stop_code, axis=1, dtype=jnp.int32)
    return Agreed(state.codes, lengths, state.done)


def of_beams(state: BeamState, length_penalty: Float32[Array, ""]) -> Agreed:
    """The longest common beginning of all sequences that can still become the result.

    These are the best finished sequence and the open beams. With length penalty 0 totals only fall
    from step to step, so an open beam below the best finished sequence has lost, with all that
    continues it. With another penalty a score may still rise, so that every open beam counts.
    """
    beams, size = state.codes.shape[1:]
    store = state.finished
    filled = store.added >= 0
    best = jnp.max(store.scores, axis=1, keepdims=True)  # -inf without finished sequences
    # Of equal scores the latest wins, as in `beam.finish`.
    latest = jnp.argmax(jnp.where(store.scores == best, store.added, -1), axis=1, keepdims=True)
    lost = (state.scores < best) & (length_penalty == 0)  # not so for NaN
    open_beams = ~state.done[:, None] & ~lost
    can_win = jnp.concatenate([jnp.any(filled, axis=1, keepdims=True), open_beams], axis=1)  # b j

    finished = jnp.take_along_axis(store.codes, latest[..., None], axis=1)
    codes = jnp.concatenate([finished, state.codes], axis=1)  # b j s
    lengths = jnp.concatenate(
        [
            jnp.take_along_axis(store.lengths, latest, axis=1),
            jnp.broadcast_to(state.step, (codes.shape[0], beams)),
        ],
        axis=1,
    )
    one = jnp.argmax(can_win, axis=1)[:, None, None]
    common = jnp.take_along_axis(codes, one, axis=1)
    differs = jnp.any((codes != common) & can_win[..., None], axis=1)  # b s
    first = jnp.where(jnp.any(differs, axis=1), jnp.argmax(differs, axis=1), size)
    shortest = jnp.min(jnp.where(can_win, lengths, size), axis=1)
    return Agreed(
        common[:, 0],
        jnp.minimum(first, shortest).astype(jnp.int32),
        ~jnp.any(open_beams, axis=1),
    )
