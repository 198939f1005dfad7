"""A codebook trained by moving averages (EMA), with restarts of unused rows.

Each row is the moving average of the frames that chose it, the minimum of their squared distance.
So rows are statistics, without an optimizer.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

LEAST = 1e-5  # pseudo-count of a row


class Codebook(NamedTuple):
    """The rows and the state of their averages."""

    rows: Float[Array, "v d"]
    sums: Float[Array, "v d"]  # decaying sums of the frames that chose a row
    counts: Float[Array, " v"]  # decaying counts of those frames
    idle: Float[Array, " v"]  # steps since a row was chosen


def empty(codes: int, width: int) -> tuple[Array, Array, Array]:
    """The initial state, with which the first step restarts every row."""
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
    """Updates the codebook with a batch of frames; masked frames have no effect.

    A row that was not chosen for `idle_steps` steps restarts at a random frame.
    """
    size = len(book.counts)
    chosen = jax.nn.one_hot(codes, size, dtype=jnp.float32) * counting[:, None]
    now = jnp.sum(chosen, axis=0)
    counts = decay * book.counts + (1 - decay) * now
    sums = decay * book.sums + (1 - decay) * jnp.matmul(chosen.T, seen)
    idle = jnp.where(now > 0, 0, book.idle + 1)

    moved = (idle >= idle_steps) & jnp.any(counting)

    def draw() -> Array:
        likely = jnp.where(counting, 0.0, -jnp.inf)
        return seen[jax.random.categorical(key, likely, shape=(size,))]

    # On a CPU the draws take a tenth of a step, and rows rarely restart.
    drawn = lax.cond(jnp.any(moved), draw, lambda: jnp.zeros_like(sums))
    weight = 1 - decay  # weight of one frame
    counts = jnp.where(moved, weight, counts)
    sums = jnp.where(moved[:, None], weight * drawn, sums)
    idle = jnp.where(moved, 0, idle)
    known = counts > LEAST
    rows = sums / jnp.where(known, counts, 1)[:, None]
    return Codebook(jnp.where(known[:, None], rows, book.rows), sums, counts, idle)


def tally(codes: Int[Array, "b t"], counting: Bool[Array, "b t"], size: int) -> Float[Array, " v"]:
    """The count of each code."""
    chosen = jax.nn.one_hot(codes, size, dtype=jnp.float32)
    return jnp.sum(jnp.where(counting[..., None], chosen, 0), axis=(0, 1))


def usage(counts: Float[np.ndarray, " v"]) -> dict[str, float]:
    """The share of codes used, and the perplexity, from counts of codes.

    The perplexity is the equivalent number of equally frequent codes.
    """
    used = np.asarray(counts, np.float64)
    used = used[used > 0] / max(used.sum(), 1)
    perplexity = float(np.exp(-np.sum(used * np.log(used))))
    return {"codes_used": len(used) / len(counts), "perplexity": perplexity}
