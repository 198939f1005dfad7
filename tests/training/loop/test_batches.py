"""Batches are a function of data, seed and step."""

import collections
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indextts_jax.errors import InputError
from indextts_jax.training.data.prepared import Row
from indextts_jax.training.loop.batches import Batches, rows_of, split
from indextts_jax.training.recipe import BatchRecipe

RECIPE = BatchRecipe(seconds=8, buckets=(1.5, 4.0), multiple=2)


def rows(
    count: int, speakers: int = 1, seed: int = 0, weight: float = 1.0, longest: float = 4.0
) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [
        Row(
            id=f"{n}",
            audio="",
            text="",
            speaker=f"{n % speakers}",
            seconds=float(rng.uniform(0.6, longest)),
            split="train",
            weight=weight,
        )
        for n in range(count)
    ]


def batches(clips: list[Row], seed: int = 3, recipe: BatchRecipe = RECIPE) -> Batches:
    return Batches(clips, [row.seconds for row in clips], recipe, seed)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 5))
def test_an_epoch_has_every_row_and_few_twice(count: int, seed: int) -> None:
    clips = rows(count, seed=seed)
    made, seen, step = batches(clips, seed), collections.Counter(), 0
    while (chosen := made.at(step)).epoch == 0:
        seen.update(row.id for row in chosen.rows)
        step += 1
    assert set(seen) == {row.id for row in clips}
    assert sum(seen.values()) - count < rows_of(RECIPE, 4.0)  # what fills the last batch


def test_any_order_of_asking_gives_the_same_batches() -> None:
    clips = rows(31)
    steps = list(range(40))
    expected = [batches(clips).at(step) for step in steps]
    made = batches(clips)
    random.Random(0).shuffle(steps)
    assert all(made.at(step) == expected[step] for step in steps)


def test_rows_fit_their_bucket_and_shapes_are_few() -> None:
    made = batches(rows(31))
    found = [made.at(step) for step in range(40)]
    assert all(row.seconds <= chosen.seconds for chosen in found for row in chosen.rows)
    assert {(chosen.seconds, len(chosen.rows)) for chosen in found} == {(1.5, 4), (4.0, 2)}


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    clips = rows(31)
    first, other = batches(clips), batches(clips, seed=4)
    assert first.at(0) != other.at(0)
    second = next(step for step in range(99) if first.at(step).epoch == 1)
    assert first.at(0).rows != first.at(second).rows


def test_speakers_take_part_by_the_root_of_their_time() -> None:
    clips = rows(100, longest=0.61)
    clips += [Row(id="x", audio="", text="", speaker="rare", seconds=0.6, split="train")]
    made, seen, step = batches(clips), collections.Counter(), 0
    while (chosen := made.at(step)).epoch < 40:
        seen.update(row.speaker for row in chosen.rows)
        step += 1
    assert seen["rare"] / seen["0"] == pytest.approx(0.1, rel=0.15)


def test_weights_of_a_manifest_are_shares_of_epochs() -> None:
    made = batches(rows(40, weight=0.25), recipe=BatchRecipe(seconds=4, buckets=(4.0,)))
    last = next(step for step in range(999) if made.at(step).epoch == 8)
    assert last == pytest.approx(8 * 10, abs=8)


def test_a_row_that_no_bucket_holds_is_named() -> None:
    clips = rows(5, longest=9)
    with pytest.raises(InputError, match=r"longer than the last of batch.buckets, 4.0 s"):
        batches(clips)


def test_micro_batches_keep_the_order_of_rows() -> None:
    found = split({"row": np.arange(6)}, 3)
    np.testing.assert_array_equal(found["row"], [[0, 1], [2, 3], [4, 5]])
    with pytest.raises(InputError, match="not a multiple of 4 pieces"):
        split({"row": np.arange(6)}, 4)
