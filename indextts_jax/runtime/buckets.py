"""Padded lengths: a short ladder of static shapes, so that a new sentence rarely compiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from indextts_jax.config import BucketConfig, Config


def bucket(length: int, ladder: Sequence[int]) -> int:
    """The smallest rung that holds `length`; past the last rung, its smallest multiple."""
    for rung in ladder:
        if length <= rung:
            return rung
    return -(-length // ladder[-1]) * ladder[-1]


def flow_size(buckets: BucketConfig, span: int, frames: int) -> int:
    """Frames that the flow runs on, for `span` of prompt and segment, of which `frames` are new."""
    return max(bucket(span, buckets.spans or buckets.frames), bucket(frames, buckets.frames))


def pad(array: Any, size: int, axis: int = 1) -> np.ndarray:
    """The array with zeros after it, so that `axis` has `size` entries."""
    array = np.asarray(array)
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths)


def text_buckets(config: Config) -> list[int]:
    """Padded numbers of text tokens, as far as the model has positions for them."""
    holds = config.gpt.max_text_tokens
    return sorted({min(bucket, holds) for bucket in config.buckets.text})
