"""Trains an objective on batches in memory with the step of the trainer."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from indextts_jax.layers.parameters import Table
from indextts_jax.models.components import Params
from indextts_jax.training.loop.setup import set_up
from indextts_jax.training.loop.sharding import Placement
from indextts_jax.training.recipe import BatchRecipe, OptimizerRecipe, Recipe


def drawn(**modules: nnx.Module) -> tuple[Params, set[str]]:
    """Parameters of modules by component, and the paths of their tables."""
    params, tables = {}, set()
    for name, module in modules.items():
        state = nnx.split(module)[1]
        params[name] = nnx.to_pure_dict(state)
        for path, variable in nnx.to_flat_state(state):
            if isinstance(variable, Table):
                tables.add(".".join(map(str, (name, *path))))
    return params, tables


def learned(
    objective: Any,
    given: tuple[Params, set[str]],
    batch_at: Callable[[int], Mapping[str, Any]],
    steps: int,
    rate: float,
) -> tuple[Params, dict[str, float]]:
    """All parameters after so many steps, as the objective takes them, and the last metrics."""
    params, tables = given
    recipe = Recipe(
        objective="here",
        steps=steps,
        batch=BatchRecipe(seconds=1.0, buckets=(1.0,)),
        optimizer=OptimizerRecipe(rate=rate, warmup=min(20, steps // 10)),
    )

    def whole(number: int) -> dict[str, Any]:
        batch = dict(batch_at(number))
        rows = len(next(iter(batch.values())))
        batch["row"] = np.arange(rows, dtype=np.int32)
        batch["progress"] = np.full(rows, number / steps, np.float32)
        return jax.tree.map(lambda a: jnp.asarray(a)[None], batch)

    placement = Placement.on(jax.devices()[:1], sharded=False)
    setup = set_up(recipe, objective, params, tables, whole(0), placement)
    step, state = jax.jit(setup.stepper, donate_argnums=(0,)), setup.state
    metrics: dict[str, Any] = {}
    for number in range(steps):
        state, metrics = step(state, setup.frozen, whole(number))
    found = setup.params(state, setup.frozen, average=False)
    return found, {name: float(value) for name, value in metrics.items()}


def same(batch: Mapping[str, Any]) -> Callable[[int], Mapping[str, Any]]:
    """One batch at every step."""
    return functools.partial(lambda held, number: held, batch)
