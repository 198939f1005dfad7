"""The initial state and the frozen parameters of a run, from parameters, a recipe and a batch."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.models.components import Params
from indextts_jax.training.loop.optimizer import transformation
from indextts_jax.training.loop.sharding import Placement
from indextts_jax.training.loop.state import Layout, Leaves, State, leaves_of, matching
from indextts_jax.training.loop.step import Stepper, step_key
from indextts_jax.training.objectives.base import Batch, Objective
from indextts_jax.training.recipe import Recipe

KEY = 2**32 - 1  # folded into the seed for initialisation, instead of a step


@dataclasses.dataclass(frozen=True)
class Setup:
    """A run before its first step."""

    recipe: Recipe
    objective: Objective
    layout: Layout
    placement: Placement
    frozen: Leaves  # frozen leaves, in the compute dtype
    state: State

    restarted: int | None = None  # step at which moments restarted

    @property
    def stepper(self) -> Stepper:
        """The step function."""
        parts, layout = self.objective.parts, self.layout
        return Stepper(parts, layout, self.recipe, self.placement, self.restarted)

    def params(self, state: State, frozen: Leaves, *, average: bool = True) -> Params:
        """All parameters in the objective's structure; averaged ones if available."""
        moving = state.average if average and state.average else state.params
        cast = self.layout.cast(moving, self.recipe.compute)
        return self.layout.tree(frozen, cast, state.statistics)

    def counts(self) -> dict[str, int]:
        """Numbers of trained parameters by component."""
        found: dict[str, int] = {}
        for path, leaf in self.state.params.items():
            name = path.split(".")[0]
            found[name] = found.get(name, 0) + leaf.size
        return found


def set_up(
    recipe: Recipe,
    objective: Objective,
    params: Params,
    tables: Collection[str],
    batch: Batch,
    placement: Placement,
) -> Setup:
    """Sets up a run of an objective on parameters (by component), which are not modified.

    `tables` are paths of stored numbers that are not weights. `batch` is any batch of the run, with
    micro-batches as first axis; it is used to find the statistics that losses update.

    Raises:
        InputError: for a pattern that matches nothing, a leaf trained by two parts, or no trained
            leaves.
    """
    # An objective may train other parameters than a checkpoint stores (weight norm of kernels).
    params = getattr(objective, "unfold", dict)(params)
    leaves, keys = leaves_of({**params, **objective.extra(step_key(recipe.seed, KEY))})
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), batch)
    shapes = _tree_of_shapes(leaves, keys)
    statistics: list[str] = []
    trained: dict[str, tuple[str, ...]] = {}
    for part in objective.parts:
        outcome = jax.eval_shape(part.loss, shapes, abstract, jax.random.key(0))
        if missing := [name for name in part.weights if name not in outcome.terms]:
            raise ValueError(f"the loss of {part.name} gives no term {missing[0]}")
        statistics += [path for path in outcome.statistics if path not in statistics]
        trained[part.name] = matching(part.trains, leaves, tables)
    trained = {  # statistics from a loss have no gradient
        name: tuple(path for path in paths if path not in statistics)
        for name, paths in trained.items()
    }
    flat = [path for paths in trained.values() for path in paths]
    if not flat:
        raise InputError(f"nothing trains: the recipe of {recipe.objective} names no parameters")
    for path in flat:
        if flat.count(path) > 1:
            raise InputError(f"{path} is trained by two parts")
    layout = Layout(keys, frozenset(tables), trained, tuple(statistics))
    moving = set(layout.moving)
    masters = {path: _master(leaves[path]) for path in flat}
    frozen = {path: jnp.asarray(leaf) for path, leaf in leaves.items() if path not in moving}
    state = State(
        jnp.int32(0),
        masters,
        {path: _master(leaves[path]) for path in statistics},
        {
            part.name: transformation(recipe.optimizer_of(part.name)).init(
                {path: masters[path] for path in trained[part.name]}
            )
            for part in objective.parts
        },
        {path: jnp.array(leaf) for path, leaf in masters.items()} if recipe.average else {},
    )
    return Setup(
        recipe,
        objective,
        layout,
        placement,
        placement.put(layout.cast(frozen, recipe.compute)),
        placement.put_state(state),
    )


def _master(leaf: Any) -> jax.Array:
    """A float32 copy (counters keep their dtype), which is donated to the first step."""
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.array(leaf, jnp.float32 if floating else leaf.dtype)


def _tree_of_shapes(leaves: Leaves, keys: dict[str, tuple[Any, ...]]) -> Params:
    layout = Layout(keys, frozenset(), {}, ())
    return layout.tree(
        {path: jax.ShapeDtypeStruct(leaf.shape, jnp.float32) for path, leaf in leaves.items()}
        | {
            path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            for path, leaf in leaves.items()
            if not jnp.issubdtype(leaf.dtype, jnp.floating)
        }
    )


def started_from(state: State, step: int, leaves: Mapping[str, np.ndarray]) -> State:
    """A state at `step` with these leaves and new moments.

    Raises:
        InputError: for leaves that are missing, or of another shape.
    """

    def put(old: Leaves) -> Leaves:
        found = {}
        for path, leaf in old.items():
            new = leaves.get(path)
            if new is None or new.shape != leaf.shape:
                there = "none" if new is None else new.shape
                raise InputError(f"weights of {path}: expected {leaf.shape}, found {there}")
            found[path] = jax.device_put(jnp.asarray(new, leaf.dtype), leaf.sharding)
        return found

    return State(
        jax.device_put(jnp.int32(step), state.step.sharding),
        put(state.params),
        put(state.statistics),
        state.moments,
        put(state.average),
    )
