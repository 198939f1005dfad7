"""Padded lengths."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from indextts_jax.config import BucketConfig
from indextts_jax.runtime.buckets import bucket, flow_size, pad

LADDERS = st.lists(st.integers(1, 500), min_size=1, max_size=6, unique=True).map(sorted)


@given(st.integers(1, 5000), LADDERS)
def test_bucket_fits_the_length_and_is_listed_or_a_multiple_of_the_last(
    length: int, ladder: list[int]
) -> None:
    size = bucket(length, ladder)
    assert size >= length
    assert size in ladder or size % ladder[-1] == 0


@given(st.integers(1, 5000), LADDERS)
def test_bucket_is_the_smallest_that_fits(length: int, ladder: list[int]) -> None:
    size = bucket(length, ladder)
    assert not [rung for rung in ladder if length <= rung < size]


@given(st.integers(1, 3000), st.integers(0, 2000), LADDERS, st.just([]) | LADDERS)
def test_the_flow_holds_prompt_and_segment_and_the_padded_segment(
    frames: int, prompt: int, ladder: list[int], spans: list[int]
) -> None:
    one = (1,)
    buckets = BucketConfig(
        text=one, features=one, codes=one, frames=tuple(ladder), spans=tuple(spans)
    )
    target, whole = bucket(frames, ladder), bucket(frames + prompt, spans or ladder)
    size = flow_size(buckets, frames + prompt, frames)
    assert size >= max(frames + prompt, target)
    assert size in (target, whole)


def test_padding_is_zeros_behind_the_values() -> None:
    array = np.arange(6).reshape(1, 3, 2) + 1
    padded = pad(array, 5)
    assert np.array_equal(padded[:, :3], array)
    assert padded.shape == (1, 5, 2)
    assert not padded[:, 3:].any()
