"""Connectionist temporal classification over padded labels: loss and greedy decoding."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

BLANK = 0
NEVER = -1e30  # log of probability 0: finite, to avoid NaN gradients


def states_of(labels: Int[Array, "b s"]) -> Int[Array, "b k"]:
    """Labels interleaved with blanks: 2 s + 1 states."""
    blanks = jnp.full_like(labels, BLANK)
    states = jnp.stack([blanks, labels], axis=-1).reshape(len(labels), -1)
    return jnp.pad(states, ((0, 0), (0, 1)), constant_values=BLANK)


def feasible(
    frames: Int[Array, " b"], labels: Int[Array, "b s"], counts: Int[Array, " b"]
) -> Bool[Array, " b"]:
    """Rows with enough frames for their labels: one each, and one more between equal neighbours."""
    inside = jnp.arange(1, labels.shape[1]) < counts[:, None]
    repeats = jnp.sum((labels[:, 1:] == labels[:, :-1]) & inside, axis=1)
    return frames >= counts + repeats


def ctc_losses(
    logits: Float[Array, "b t v"],
    frames: Int[Array, " b"],
    labels: Int[Array, "b s"],
    counts: Int[Array, " b"],
) -> Float[Array, " b"]:
    """Negative log-likelihood of each row's labels; 0 for infeasible rows.

    Entry 0 of the logits is the blank. Labels past a row's count and frames past its length are
    ignored. One scan over the frames compiles in a second, while a more general loss takes minutes.

    Source: `torch.nn.CTCLoss` with `zero_infinity`.
    """
    states = states_of(labels)
    chosen = jax.nn.one_hot(states, logits.shape[-1], dtype=jnp.float32)
    # A matrix product instead of a gather, whose gradient would be a slow scatter.
    emitted = jnp.einsum("btv,bkv->tbk", jax.nn.log_softmax(logits.astype(jnp.float32)), chosen)
    # A blank between different labels may be skipped.
    skips = (states != BLANK) & (states != jnp.pad(states, ((0, 0), (2, 0)))[:, :-2])
    skips = skips & (jnp.arange(states.shape[1]) >= 2)

    def shifted(x: Float[Array, "b k"], by: int) -> Float[Array, "b k"]:
        return jnp.pad(x, ((0, 0), (by, 0)), constant_values=NEVER)[:, : x.shape[1]]

    def step(
        reached: Float[Array, "b k"], given: tuple[Array, Array]
    ) -> tuple[Float[Array, "b k"], None]:
        frame, emitted = given
        ways = jnp.stack(
            [reached, shifted(reached, 1), jnp.where(skips, shifted(reached, 2), NEVER)]
        )
        after = jnp.maximum(jax.nn.logsumexp(ways, axis=0) + emitted, NEVER)
        return jnp.where((frame < frames)[:, None], after, reached), None

    first = jnp.where(jnp.arange(states.shape[1]) < 2, emitted[0], NEVER)
    reached, _ = jax.lax.scan(step, first, (jnp.arange(1, len(emitted)), emitted[1:]))

    last = 2 * counts[:, None]  # valid final states: the last blank, and the last label
    ends = jnp.take_along_axis(reached, jnp.concatenate([last, jnp.maximum(last - 1, 0)], 1), 1)
    ends = jnp.where(jnp.arange(2) <= last, ends, NEVER)  # without labels there is only the blank
    return jnp.where(feasible(frames, labels, counts), -jax.nn.logsumexp(ends, axis=1), 0)


def edits(
    logits: Float[Array, "b t v"],
    frames: Int[Array, " b"],
    labels: Int[Array, "b s"],
    counts: Int[Array, " b"],
) -> Int[Array, " b"]:
    """Edit distance of each row's greedy decoding from its labels."""
    best = jnp.argmax(logits, axis=-1)
    new = best != jnp.pad(best, ((0, 0), (1, 0)), constant_values=BLANK)[:, :-1]
    heard = new & (best != BLANK) & (jnp.arange(best.shape[1]) < frames[:, None])
    place = jnp.arange(labels.shape[1] + 1)

    def step(row: Int[Array, "b k"], given: tuple[Array, Array]) -> tuple[Int[Array, "b k"], None]:
        """One row of the edit distance table: distances to the first 0, 1, ... labels."""
        letter, heard = given
        replaced = row[:, :-1] + (labels != letter[:, None])
        after = jnp.concatenate([row[:, :1] + 1, jnp.minimum(row[:, 1:] + 1, replaced)], axis=1)
        # Deletions: each costs one more than the best earlier position.
        after = jax.lax.cummin(after - place, axis=1) + place
        return jnp.where(heard[:, None], after, row), None

    first = jnp.broadcast_to(place, (len(labels), len(place)))
    row, _ = jax.lax.scan(step, first, (best.T, heard.T))
    return jnp.take_along_axis(row, counts[:, None], axis=1)[:, 0]


def greedy(logits: Float[np.ndarray, "t v"]) -> list[int]:
    """Greedy decoding: the argmax of each frame, with repeats merged and blanks removed."""
    best = np.argmax(logits, axis=-1)
    changes = np.flatnonzero(np.diff(best, prepend=-1))
    return [int(label) for label in best[changes] if label != BLANK]
