"""Attention over keys in several arrays, some of which may be skipped."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32


class KeyBlock(NamedTuple):
    """Keys and values in one array, and which of them each query may attend to."""

    keys: Float[Array, "b h k j"]
    values: Float[Array, "b h j k"]
    mask: Bool[Array, "*b i j"]  # broadcast over heads, and over rows if it has no `b`


class Attended(NamedTuple):
    """State of an online softmax, to which more keys can be added."""

    largest: Float32[Array, "b h i"]  # largest score
    total: Float32[Array, "b h i"]  # sum of exp(score - largest)
    mixed: Float32[Array, "b h i k"]  # the values, weighted by these exponentials

    def with_more(self, query: Float[Array, "b h i k"], block: KeyBlock) -> "Attended":
        """The state after the keys of another block.

        A row that may attend to none of them is unchanged, bit for bit.
        """
        scores = _scores(query, block)
        largest = jnp.maximum(self.largest, jnp.max(scores, axis=-1))
        keep, weights = jnp.exp(self.largest - largest), jnp.exp(scores - largest[..., None])
        return Attended(
            largest,
            self.total * keep + jnp.sum(weights, axis=-1),
            self.mixed * keep[..., None] + _weighted(weights, block),
        )

    @property
    def mean(self) -> Float32[Array, "b h i k"]:
        """Attention's result."""
        return self.mixed / self.total[..., None]


def gather(query: Float[Array, "b h i k"], blocks: Sequence[KeyBlock]) -> Attended:
    """The state after all blocks; each query needs at least one unmasked key."""
    scores = [_scores(query, block) for block in blocks]
    largest = functools.reduce(jnp.maximum, [jnp.max(each, axis=-1) for each in scores])
    weights = [jnp.exp(each - largest[..., None]) for each in scores]
    products = [_weighted(*pair) for pair in zip(weights, blocks, strict=True)]
    totals = [jnp.sum(each, axis=-1) for each in weights]
    return Attended(largest, sum(totals[1:], totals[0]), sum(products[1:], products[0]))


def attend(query: Float[Array, "b h i k"], blocks: Sequence[KeyBlock]) -> Float32[Array, "b h i k"]:
    """Scaled dot-product attention over the keys of all blocks together."""
    return gather(query, blocks).mean


def _scores(query: Float[Array, "b h i k"], block: KeyBlock) -> Float32[Array, "b h i j"]:
    return jnp.where(
        block.mask if block.mask.ndim == 2 else block.mask[:, None],
        jnp.einsum("bhik,bhkj->bhij", query, block.keys, preferred_element_type=jnp.float32)
        * query.shape[-1] ** -0.5,
        -jnp.inf,
    )


def _weighted(weights: Float32[Array, "b h i j"], block: KeyBlock) -> Float32[Array, "b h i k"]:
    return jnp.einsum(
        "bhij,bhjk->bhik",
        weights.astype(block.values.dtype),
        block.values,
        preferred_element_type=jnp.float32,
    )
