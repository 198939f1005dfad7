"""A codebook that follows what it quantises: moving averages, with idle rows moved.

Each row is the average of the frames that chose it, which is where the gradient of their squared
distance would take it, in one step. So rows are statistics: no optimizer moves them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

LEAST = 1e-5  # frames that a row counts as


class Codebook(NamedTuple):
    """The rows, and what their averages are made of."""

    rows: Float[Array, "v d"]
    sums: Float[Array, "v d"]  # of the frames that chose a row, decaying
    counts: Float[Array, " v"]  # of those frames, likewise
    idle: Float[Array, " v"]  # steps since a row was chosen


def empty(codes: int, width: int) -> tuple[Array, Array, Array]:
    """Sums, counts and idle steps before the first step, at which every row is placed anew."""
    return jnp.zeros((codes, width)), jnp.zeros(codes), jnp.full(codes, jnp.inf)


def follow(
    book: Codebook,
    seen: Float[Array, "n d"],
    codes: Int[Array, " n"],
    counting: Bool[Array, " n"],
    key: Key[Array, ""],
    *,
    decay: float,
    idle_steps: Int[Array, ""] | int,
) -> Codebook:
    """The codebook after a batch of frames; those that do not count have no effect.

    A row that no frame has chosen for `idle_steps` steps becomes one of the frames, at random.
    """
    size = len(book.counts)
    chosen = jax.nn.one_hot(codes, size, dtype=jnp.float32) * counting[:, None]
    now = jnp.sum(chosen, axis=0)
    counts = decay * book.counts + (1 - decay) * now
    sums = decay * book.sums + (1 - decay) * jnp.matmul(chosen.T, seen)
    idle = jnp.where(now > 0, 0, book.idle + 1)

    likely = jnp.where(counting, 0.0, -jnp.inf)
    drawn = seen[jax.random.categorical(key, likely, shape=(size,))]
    moved = (idle >= idle_steps) & jnp.any(counting)
    weight = 1 - decay  # of one frame
    counts = jnp.where(moved, weight, counts)
    sums = jnp.where(moved[:, None], weight * drawn, sums)
    idle = jnp.where(moved, 0, idle)
    known = counts > LEAST
    rows = sums / jnp.where(known, counts, 1)[:, None]
    return Codebook(jnp.where(known[:, None], rows, book.rows), sums, counts, idle)


def tally(codes: Int[Array, "b t"], counting: Bool[Array, "b t"], size: int) -> Float[Array, " v"]:
    """How often each code comes."""
    chosen = jax.nn.one_hot(codes, size, dtype=jnp.float32)
    return jnp.sum(jnp.where(counting[..., None], chosen, 0), axis=(0, 1))


def usage(counts: Float[np.ndarray, " v"]) -> dict[str, float]:
    """Of how often each code came: the share of codes that came at all, and the perplexity, which
    is how many codes would carry as much if all were equally frequent.
    """
    used = np.asarray(counts, np.float64)
    used = used[used > 0] / max(used.sum(), 1)
    perplexity = float(np.exp(-np.sum(used * np.log(used))))
    return {"codes_used": len(used) / len(counts), "perplexity": perplexity}
