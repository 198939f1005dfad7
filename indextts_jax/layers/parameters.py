"""Kinds of parameters, and how they are drawn."""

import jax
from flax import nnx


class Table(nnx.Variable):
    """A stored table or statistic that is no weight: kept in float32 whatever the other dtypes."""


def uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int) -> nnx.Param:
    """A parameter drawn uniformly within 1 / sqrt(fan_in)."""
    bound = fan_in**-0.5
    return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound))
