"""Buckets: a few padded lengths (static shapes), so that a new sentence rarely compiles."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from indextts_jax.config import BucketConfig, ModelConfig, RunConfig


def bucket(length: int, sizes: Sequence[int]) -> int:
    """The smallest bucket that holds `length`; beyond the last one, its smallest multiple."""
    for size in sizes:
        if length <= size:
            return size
    return -(-length // sizes[-1]) * sizes[-1]


def flow_size(buckets: BucketConfig, span: int, frames: int) -> int:
    """Padded frames of the flow, for `span` frames of prompt and segment, `frames` of them new."""
    return max(bucket(span, buckets.spans or buckets.frames), bucket(frames, buckets.frames))


def pad(array: Any, size: int, axis: int = 1) -> np.ndarray:
    """The array padded with zeros at the end, so that `axis` has `size` entries."""
    array = np.asarray(array)
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths)


def within(sizes: Sequence[int], limit: int) -> tuple[int, ...]:
    """The padded lengths below a limit, and the limit."""
    return (*(size for size in sizes if size < limit), limit)


def buckets_of(config: ModelConfig, run: RunConfig) -> BucketConfig:
    """Padded lengths, those of text tokens and codes within the GPT's position tables."""
    return dataclasses.replace(
        run.buckets,
        text=within(run.buckets.text, config.gpt.max_text_tokens),
        codes=within(run.buckets.codes, config.gpt.code_positions),
    )
