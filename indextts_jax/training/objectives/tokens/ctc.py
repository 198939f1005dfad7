"""Connectionist temporal classification: the loss, and the best path, over padded labels."""

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


def best_path(
    scores: Float[np.ndarray, "t v"], labels: Int[np.ndarray, " s"]
) -> Int[np.ndarray, " t"]:
    """For each frame the number of the label that the likeliest path voices there, on the host.

    Frames of blanks belong to the label before them, those at the beginning to the first.

    Raises:
        ValueError: if there are no labels, or more than the frames can hold.
    """
    time, count = len(scores), len(labels)
    repeats = int(np.sum(labels[1:] == labels[:-1]))
    if not count or time < count + repeats:
        raise ValueError(f"{count} labels do not fit into {time} frames")
    states = np.zeros(2 * count + 1, np.int64)
    states[1::2] = labels
    skips = np.zeros(len(states), bool)
    skips[3::2] = labels[1:] != labels[:-1]
    emitted = scores[:, states].astype(np.float64)
    reached = np.full(len(states), -np.inf)
    reached[:2] = emitted[0, :2]
    came = np.zeros((time, len(states)), np.int64)
    for t in range(1, time):
        ways = np.full((3, len(states)), -np.inf)
        ways[0], ways[1, 1:] = reached, reached[:-1]
        ways[2, 2:] = np.where(skips[2:], reached[:-2], -np.inf)
        came[t] = ways.argmax(axis=0)
        reached = ways.max(axis=0) + emitted[t]
    state = len(states) - 1 - int(reached[-2] > reached[-1])
    path = np.zeros(time, np.int64)
    for t in range(time - 1, -1, -1):
        path[t] = state
        state -= came[t, state]
    return np.clip((path - 1) // 2, 0, count - 1).astype(np.int32)


def greedy(logits: Float[np.ndarray, "t v"]) -> list[int]:
    """The labels of the likeliest entry of each frame: repeats are one, blanks are none."""
    best = np.argmax(logits, axis=-1)
    changes = np.flatnonzero(np.diff(best, prepend=-1))
    return [int(label) for label in best[changes] if label != BLANK]
