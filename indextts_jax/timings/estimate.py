"""An estimate of where pieces are spoken, without attention: from syllables and pauses."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from indextts_jax.text.duration import syllables
from indextts_jax.timings.source import SpokenWord

PAUSE_BONUS = 1.0  # nats: an estimate bends so that pauses are between words
_SLACK = 0.6  # syllables that a piece may stray, besides half its own


def piece_weights(count: int, words: Sequence[SpokenWord]) -> Float[np.ndarray, " t"]:
    """The syllables of each piece; those of a word are divided among its pieces by length."""
    weights = np.zeros(count)
    for word in words:
        places = np.arange(count)
        share = np.clip(np.minimum(places + 1, word.last) - np.maximum(places, word.first), 0, 1)
        weights += syllables(word.text) * share / max(float(share.sum()), 1e-9)
    return weights


def estimated_attention(
    weights: Float[np.ndarray, " t"], quiet: Bool[np.ndarray, " s"]
) -> Float[np.ndarray, "s t"]:
    """What attention would be if every syllable took the same time, without the pauses."""
    spoken = np.cumsum(~quiet) - 0.5 * ~quiet
    place = spoken / max(1, int(np.count_nonzero(~quiet))) * weights.sum()  # in syllables, by code
    centre = np.cumsum(weights) - weights / 2
    reach = weights / 2 + _SLACK
    likely = np.exp(-0.5 * ((place[:, None] - centre) / reach) ** 2) * (weights > 0)
    return likely / np.maximum(likely.sum(axis=1, keepdims=True), 1e-9)
