"""Connectionist temporal classification over padded labels: the loss, and what is read."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

BLANK = 0
NEVER = -1e30  # the logarithm of no chance: finite, so that no gradient is NaN


def states_of(labels: Int[Array, "b s"]) -> Int[Array, "b k"]:
    """Labels with a blank around each: 2 s + 1 states."""
    blanks = jnp.full_like(labels, BLANK)
    states = jnp.stack([blanks, labels], axis=-1).reshape(len(labels), -1)
    return jnp.pad(states, ((0, 0), (0, 1)), constant_values=BLANK)


def feasible(
    frames: Int[Array, " b"], labels: Int[Array, "b s"], counts: Int[Array, " b"]
) -> Bool[Array, " b"]:
    """Rows whose labels fit: a frame for each, and one more between equal neighbours."""
    inside = jnp.arange(1, labels.shape[1]) < counts[:, None]
    repeats = jnp.sum((labels[:, 1:] == labels[:, :-1]) & inside, axis=1)
    return frames >= counts + repeats


def ctc_losses(
    logits: Float[Array, "b t v"],
    frames: Int[Array, " b"],
    labels: Int[Array, "b s"],
    counts: Int[Array, " b"],
) -> Float[Array, " b"]:
    """Minus the logarithm of the chance of each row's labels; 0 where they do not fit.

    Entry 0 of the logits is the blank. Labels past a row's count and frames past its length mean
    nothing. One scan over the frames: it compiles in a second, where a loss for any alignment takes
    minutes.

    Source: `torch.nn.CTCLoss` with `zero_infinity`.
    """
    states = states_of(labels)
    chosen = jax.nn.one_hot(states, logits.shape[-1], dtype=jnp.float32)
    # A product in place of a gather, whose gradient would be a scatter.
    emitted = jnp.einsum("btv,bkv->tbk", jax.nn.log_softmax(logits.astype(jnp.float32)), chosen)
    # A blank between different labels may be left out.
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

    last = 2 * counts[:, None]  # the blank after the last label, and that label
    ends = jnp.take_along_axis(reached, jnp.concatenate([last, jnp.maximum(last - 1, 0)], 1), 1)
    ends = jnp.where(jnp.arange(2) <= last, ends, NEVER)  # without labels there is the blank alone
    return jnp.where(feasible(frames, labels, counts), -jax.nn.logsumexp(ends, axis=1), 0)


def edits(
    logits: Float[Array, "b t v"],
    frames: Int[Array, " b"],
    labels: Int[Array, "b s"],
    counts: Int[Array, " b"],
) -> Int[Array, " b"]:
    """How far each row's greedy reading is from its labels: letters to change, add or leave out."""
    best = jnp.argmax(logits, axis=-1)
    new = best != jnp.pad(best, ((0, 0), (1, 0)), constant_values=BLANK)[:, :-1]
    heard = new & (best != BLANK) & (jnp.arange(best.shape[1]) < frames[:, None])
    place = jnp.arange(labels.shape[1] + 1)

    def step(row: Int[Array, "b k"], given: tuple[Array, Array]) -> tuple[Int[Array, "b k"], None]:
        """From the distances of what was heard to the first 0, 1, ... labels: one letter on."""
        letter, heard = given
        replaced = row[:, :-1] + (labels != letter[:, None])
        after = jnp.concatenate([row[:, :1] + 1, jnp.minimum(row[:, 1:] + 1, replaced)], axis=1)
        # Labels that were not heard: each costs one more than the best place before it.
        after = jax.lax.cummin(after - place, axis=1) + place
        return jnp.where(heard[:, None], after, row), None

    first = jnp.broadcast_to(place, (len(labels), len(place)))
    row, _ = jax.lax.scan(step, first, (best.T, heard.T))
    return jnp.take_along_axis(row, counts[:, None], axis=1)[:, 0]


def greedy(logits: Float[np.ndarray, "t v"]) -> list[int]:
    """The labels of the likeliest entry of each frame: repeats are one, blanks are none."""
    best = np.argmax(logits, axis=-1)
    changes = np.flatnonzero(np.diff(best, prepend=-1))
    return [int(label) for label in best[changes] if label != BLANK]
