"""Which heads are chosen, from scores that are made up or of a made-up attention."""

import numpy as np
import pytest

from indextts_jax.engine.alignment.calibration import LEAST, Calibration, chosen_heads
from indextts_jax.errors import Failure
from indextts_jax.timings.heads import head_scores


def attention(kind: str, codes: int = 40, pieces: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    owner = np.arange(codes) * pieces // codes
    match kind:
        case "diagonal":
            found = 0.02 + (owner[:, None] == np.arange(pieces))
        case "blurred":
            found = 0.5 + (owner[:, None] == np.arange(pieces))
        case "backwards":
            found = 0.02 + (owner[::-1, None] == np.arange(pieces))
        case "constant":
            found = 0.02 + (np.zeros(codes)[:, None] == np.arange(pieces))
        case _:
            found = rng.random((codes, pieces))
    return found / found.sum(axis=1, keepdims=True)


def test_a_head_that_follows_the_text_has_the_best_score() -> None:
    kinds = ("diagonal", "blurred", "backwards", "constant", "random")
    scores = head_scores(np.stack([attention(kind) for kind in kinds]), np.ones(8, bool))
    best = dict(zip(kinds, scores, strict=True))
    assert best["diagonal"] > 0.7
    assert best["diagonal"] > best["blurred"] > 0.1
    assert max(best[kind] for kind in kinds[2:]) < 0.2
    assert scores.min() >= 0


def chosen(scores: np.ndarray, sentences: int = 5) -> Calibration:
    return chosen_heads([scores.ravel()] * sentences, scores.shape, 3)


def test_the_best_heads_are_chosen_in_order() -> None:
    scores = np.full((3, 4), 0.01)
    scores[1, 0], scores[0, 3], scores[2, 2] = 0.9, 0.5, 0.2
    found = chosen(scores)
    assert [(one.layer, one.head, one.score) for one in found.heads] == [(1, 0, 0.9), (0, 3, 0.5)]
    assert found.segments == 5


def test_no_more_heads_than_requested_are_chosen() -> None:
    assert len(chosen(np.full((3, 4), 0.9)).heads) == 3


def test_a_model_whose_heads_follow_nothing_is_a_failure() -> None:
    with pytest.raises(Failure, match="no head of this GPT follows the text"):
        chosen(np.full((3, 4), LEAST / 2))


def test_few_sentences_are_a_failure() -> None:
    with pytest.raises(Failure, match="3 segments were spoken without faults"):
        chosen(np.full((3, 4), 0.9), sentences=3)
