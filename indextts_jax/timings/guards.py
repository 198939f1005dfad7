"""Words that attention passes over, and words to which it goes back: for reports only."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

FOUND = 0.15  # attention to a word that at least one code has if it is spoken
SURE = 0.4  # attention to a word at which a code certainly belongs to it
STEADY = 3  # codes in a row that are a visit
AGAIN = 0.2  # seconds of visits to earlier words that are a repetition


def word_attention(
    attention: Float[np.ndarray, "s t"], spans: Sequence[tuple[float, float]]
) -> Float[np.ndarray, "s w"]:
    """The attention of each code to each word, which is a span of pieces (see `SpokenWord`)."""
    sums = np.zeros((attention.shape[1] + 1, len(attention)))  # of the pieces before each
    np.cumsum(attention.T, axis=0, out=sums[1:])
    # Not by a product of matrices: for so few numbers its threads cost more than they save.
    whole, rest = np.divmod(np.array(spans, float).reshape(-1, 2), 1.0)
    low = whole.astype(np.int64)
    high = np.minimum(low + 1, attention.shape[1])
    before = sums[low] + rest[..., None] * (sums[high] - sums[low])
    return np.maximum(before[:, 1] - before[:, 0], 0.0).T


def skipped(by_word: Float[np.ndarray, "s w"]) -> list[int]:
    """Words to which no code attends."""
    return np.flatnonzero(by_word.max(axis=0, initial=0.0) < FOUND).tolist()


def repeated(
    by_word: Float[np.ndarray, "s w"], quiet: Bool[np.ndarray, " s"], rate: float
) -> list[int]:
    """Words that are said again: attention goes back to them after a later word, and stays.

    `rate` is the number of codes a second.
    """
    if not by_word.shape[1]:
        return []
    nearest = np.where((by_word.max(axis=1) >= SURE) & ~quiet, by_word.argmax(axis=1), -1)
    edges = np.flatnonzero(np.diff(nearest, prepend=-2, append=-2))
    again: dict[int, int] = {}
    reached = -1
    for start, end in itertools.pairwise(edges):
        word, codes = int(nearest[start]), int(end - start)
        if word < 0 or codes < STEADY:
            continue
        if word < reached:
            again[word] = again.get(word, 0) + codes
        reached = max(reached, word)
    return sorted(again) if sum(again.values()) >= AGAIN * rate else []
