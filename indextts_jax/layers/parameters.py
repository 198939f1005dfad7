"""Kinds of parameters, and how they are drawn."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx

_drawn = contextvars.ContextVar("drawn", default=True)


class Table(nnx.Variable):
    """A stored table or statistic that is no weight: kept in float32 whatever the other dtypes."""


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """For networks whose values nobody will see: zeros are traced five times as fast as draws."""
    token = _drawn.set(False)
    try:
        yield
    finally:
        _drawn.reset(token)


def uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int) -> nnx.Param:
    """A parameter drawn uniformly within 1 / sqrt(fan_in)."""
    if not _drawn.get():
        return nnx.Param(jnp.zeros(shape))
    bound = fan_in**-0.5
    return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound))
