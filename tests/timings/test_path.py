"""Paths through synthetic matrices of codes and pieces, whose boundaries are known."""

import numpy as np
import pytest

from indextts_jax.timings.path import Path, code_bounds


def matrix(counts: np.ndarray, seed: int, *, blur: float = 0.0, noise: float = 0.0) -> np.ndarray:
    """Attention of codes to pieces with these numbers of codes, blurred over codes, with noise."""
    rng = np.random.default_rng(seed)
    pieces = len(counts)
    owner = np.repeat(np.arange(pieces), counts)
    found = (owner[:, None] == np.arange(pieces)).astype(float)
    if blur:
        reach = np.arange(-4, 5)
        window = np.exp(-0.5 * (reach / blur) ** 2)
        for piece in range(pieces):
            found[:, piece] = np.convolve(found[:, piece], window / window.sum(), mode="same")
    found = (1 - noise) * found + noise * rng.dirichlet(np.ones(pieces), len(found))
    return found / found.sum(axis=1, keepdims=True)


def boundaries(attention: np.ndarray, *, quiet: np.ndarray | None = None, **kinds: np.ndarray):
    pieces = attention.shape[1]
    path = Path(
        kinds.get("sounding", np.ones(pieces, bool)), kinds.get("begins", np.ones(pieces, bool))
    )
    path.extend(attention, np.zeros(len(attention), bool) if quiet is None else quiet)
    return path.codes()


@pytest.mark.parametrize(("blur", "noise"), [(0, 0), (1.5, 0), (0, 0.6), (1.0, 0.4)])
def test_boundaries_are_within_a_code(blur: float, noise: float) -> None:
    for seed in range(5):
        counts = np.random.default_rng(seed).integers(4, 12, 17)
        first, last = boundaries(matrix(counts, seed, blur=blur, noise=noise))
        ends = np.cumsum(counts)
        assert np.abs(last - ends).max() <= 1
        assert np.abs(first - (ends - counts)).max() <= 1


def test_boundaries_survive_a_piece_said_twice() -> None:
    attention = matrix(np.array([5, 6, 7, 5]), 0)
    again = np.concatenate([attention[:11], attention[5:11], attention[11:]])  # piece 1, twice
    first, last = boundaries(again)
    assert (first[[0, 2, 3]] - [0, 17, 24]).tolist() == [0, 0, 0]
    assert last[1] == 17


def test_piece_without_attention_gets_one_code() -> None:
    attention = matrix(np.array([6, 0, 6, 6]), 0, noise=0.1)
    first, last = boundaries(attention)
    assert last[1] - first[1] == 1
    assert np.abs(first[[0, 2, 3]] - [0, 6, 12]).max() <= 1


def test_pieces_are_left_out_where_codes_are_too_few() -> None:
    first, last = boundaries(np.full((3, 5), 0.2))
    assert np.count_nonzero(last > first) == 3


def test_marks_need_no_code() -> None:
    sounding = np.array([True, False, True])
    first, last = boundaries(matrix(np.array([4, 0, 4]), 0), sounding=sounding, begins=~sounding)
    assert (first.tolist(), last.tolist()) == ([0, 4, 4], [4, 4, 8])


def test_pause_belongs_to_no_piece() -> None:
    attention = matrix(np.array([8, 8]), 0)
    quiet = np.zeros(16, bool)
    quiet[6:10] = True
    first, last = boundaries(attention, quiet=quiet)
    assert (first.tolist(), last.tolist()) == ([0, 10], [6, 16])


def test_pause_within_a_word_belongs_to_it() -> None:
    quiet = np.zeros(16, bool)
    quiet[6:10] = True
    begins = np.array([True, False])
    first, last = boundaries(matrix(np.array([8, 8]), 0), quiet=quiet, begins=begins)
    assert (first.tolist(), last.tolist()) == ([0, 8], [8, 16])


def test_increments_give_the_same_path() -> None:
    counts = np.random.default_rng(1).integers(0, 9, 12)
    attention = matrix(counts, 1, noise=0.3)
    quiet = np.random.default_rng(2).random(len(attention)) < 0.2
    path = Path(np.ones(12, bool), np.ones(12, bool))
    for start in range(0, len(attention), 7):
        path.extend(attention[start : start + 7], quiet[start : start + 7])
    whole = boundaries(attention, quiet=quiet)
    assert all(np.array_equal(a, b) for a, b in zip(path.codes(), whole, strict=True))


def test_path_of_a_part_leaves_the_rest_of_the_text_open() -> None:
    path = Path(np.ones(4, bool), np.ones(4, bool))
    path.extend(matrix(np.array([5, 5, 5, 5]), 0)[:9], np.zeros(9, bool))
    first, last = path.codes(whole=False)
    assert first.tolist()[:2] == [0, 5]
    assert (last - first).tolist() == [5, 4, 0, 0]


def test_bounds_are_the_first_frames_of_codes() -> None:
    assert code_bounds(np.array([0, 0, 1, 1, 1, 2]), 3).tolist() == [0, 2, 5, 6]
    assert code_bounds(np.array([0, 1, 2, 3]), 2, per_code=2).tolist() == [0, 2, 4]
