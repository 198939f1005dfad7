"""Prompts: another clip of the speaker."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from speech_sets import row

from indextts_jax.errors import InputError
from indextts_jax.training.data.pairs import Pairs

ROWS = [
    row(0),
    row(1),
    row(2, text="text 1"),  # the sentence of r1
    row(3, speaker="bob"),
    row(4, seconds=1.9),
    row(5, seconds=15.1),
    row(6, split="validation"),
    row(7, seconds=15.0),
]


def drawn(which: int, rows: list = ROWS, **options: bool) -> Counter[str]:
    rng = np.random.default_rng(0)
    pairs = Pairs(rows, **options)
    return Counter(pairs.draw(rows[which], rng).id for _ in range(300))


def test_prompts_are_all_other_sentences_of_the_speaker_in_2_to_15_s() -> None:
    assert set(drawn(0)) == {"r1", "r2", "r7"}
    assert set(drawn(1)) == {"r0", "r7"}
    assert set(drawn(4)) == {"r0", "r1", "r2", "r7"}  # a short target has prompts


def test_each_is_as_likely() -> None:
    counts = drawn(0)
    assert min(counts.values()) > 70


def test_counts_are_of_what_can_be_drawn() -> None:
    pairs = Pairs(ROWS)
    assert [pairs.count(r) for r in ROWS] == [3, 2, 2, 0, 4, 4, 4, 3]


def test_validation_takes_training_clips_only_where_it_has_no_other() -> None:
    assert set(drawn(6)) == {"r0", "r1", "r2", "r7"}
    more = [*ROWS, row(8, split="validation")]
    assert set(drawn(6, more)) == {"r8"}


def test_a_lone_clip_is_refused_or_its_own_prompt() -> None:
    with pytest.raises(InputError, match=r"clip r3: its speaker bob has no other clip"):
        drawn(3)
    assert set(drawn(3, own=True)) == {"r3"}


def test_a_draw_takes_one_number_whatever_comes_of_it() -> None:
    pairs = Pairs(ROWS, own=True)
    states = []
    for which in (0, 3, 6):
        rng = np.random.default_rng(5)
        pairs.draw(ROWS[which], rng)
        states.append(rng.random())
    assert len(set(states)) == 1


def test_the_order_of_the_rows_does_not_matter() -> None:
    def sequence(rows: list) -> list[str]:
        rng = np.random.default_rng(1)
        return [Pairs(rows).draw(ROWS[0], rng).id for _ in range(20)]

    assert sequence(ROWS) == sequence(ROWS[::-1])
    assert sequence(ROWS) == sequence([dataclasses.replace(r, audio="x") for r in ROWS])
