"""Random parameters for tests, without running a module's own initialisation."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


@functools.cache
def module(cls: Any, cfg: Any) -> tuple[Any, dict[Any, Any]]:
    """A module's graph, and float32 parameters among which no norms and no biases are equal."""
    graph, state = nnx.split(nnx.eval_shape(lambda: cls(cfg, rngs=nnx.Rngs(0))))
    random = np.random.default_rng(0)

    def draw(path: Any, leaf: Any) -> jax.Array:
        noise = jnp.asarray(random.normal(size=leaf.shape), jnp.float32)
        name = path[-1].key
        if name == "kernel":
            return noise * leaf.shape[-2] ** -0.5
        return (1 if name == "scale" else 0) + 0.3 * noise

    return graph, jax.tree_util.tree_map_with_path(draw, nnx.to_pure_dict(state))


@functools.cache
def program(cls: Any, cfg: Any) -> Callable[..., Any]:
    """The module's call as one jitted function of its parameters and its arguments."""
    graph, _ = module(cls, cfg)
    return jax.jit(lambda params, *given: nnx.merge(graph, params)(*given))
