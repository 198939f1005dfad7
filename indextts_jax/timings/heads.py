"""How well attention heads follow a text, without labels: coverage, order and sharpness."""

import numpy as np
from jaxtyping import Bool, Float

AHEAD = 3  # pieces that a head may go forward at once


def head_scores(
    attention: Float[np.ndarray, "k s t"], sounding: Bool[np.ndarray, " t"]
) -> Float[np.ndarray, " k"]:
    """A score of each head on one sentence, 0 to 1: the product of three shares.

    Coverage: sounding pieces to which some code attends most. Order: of the moves from one piece to
    another, those to one of the next `AHEAD`. Sharpness: the mean of the largest attention of a
    code, above that of attention to all pieces alike.
    """
    heads, _, pieces = attention.shape
    nearest = attention.argmax(axis=2)
    reached = np.zeros((heads, pieces), bool)
    reached[np.arange(heads)[:, None], nearest] = True
    coverage = reached[:, sounding].mean(axis=1)
    steps = np.diff(nearest, axis=1)
    moves = np.count_nonzero(steps, axis=1)
    order = np.count_nonzero((steps > 0) & (steps <= AHEAD), axis=1) / np.maximum(moves, 1)
    even = 1 / pieces
    sharp = (attention.max(axis=2).mean(axis=1) - even) / max(1 - even, even)
    return np.clip(coverage * order * sharp, 0, 1)
