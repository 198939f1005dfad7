"""The result of a run so far: the leaves of its best save, for export and inference.

result = read_result("runs/anna")
params = result.applied("gpt", checkpoint.load(["gpt"])["gpt"])
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indextts_jax.checkpoint.arrays import read_all
from indextts_jax.errors import InputError
from indextts_jax.models.components import Params
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop.folder import RunRecord
from indextts_jax.training.loop.saves import ARRAYS, STEPS, Best, check_save, read_best, steps_in
from indextts_jax.training.loop.state import leaves_of, tree_of
from indextts_jax.training.recipe import Recipe

ADAPTERS = "adapters"  # component with the adapter of each adapted component


@dataclasses.dataclass(frozen=True)
class Result:
    """The trained leaves of one save."""

    run: Path
    step: int
    recipe: Recipe
    record: RunRecord
    best: Best
    leaves: Mapping[str, np.ndarray]
    """By dotted path, in float32: moving averages if the recipe has them, and statistics."""

    @property
    def components(self) -> tuple[str, ...]:
        """Components that have changed, fully or partly, other than adapters."""
        names = dict.fromkeys(path.split(".")[0] for path in self.leaves)
        return tuple(name for name in names if name != ADAPTERS)

    @property
    def adapters(self) -> Params:
        """Adapters as nested dicts, by adapted component."""
        found: Params = {}
        for path, leaf in self.leaves.items():
            first, *parents, last = path.split(".")
            if first == ADAPTERS:
                place = found
                for key in parents:
                    place = place.setdefault(key, {})
                place[last] = leaf
        return found

    def applied(self, name: str, params: Params) -> Params:
        """A component's parameters with the trained leaves, in the dtypes of `params`.

        Raises:
            InputError: for a leaf that the component does not have, or with another shape.
        """
        leaves, keys = leaves_of({name: params})
        for path, leaf in self.leaves.items():
            if path.split(".")[0] != name:
                continue
            if path not in leaves or leaves[path].shape != leaf.shape:
                there = leaves[path].shape if path in leaves else "none"
                raise InputError(f"{self.run}: {path} has shape {leaf.shape}, expected {there}")
            leaves[path] = leaf.astype(leaves[path].dtype)
        changed: Params = tree_of(leaves, keys)[name]
        return changed

    def part(self, name: str, expected: Params) -> Params:
        """The leaves in `expected` of a training-only component, with its dtypes.

        Raises:
            InputError: for a leaf that was not saved, or with another shape.
        """
        leaves, keys = leaves_of(expected)
        found = {}
        for path, wanted in leaves.items():
            leaf = self.leaves.get(f"{name}.{path}")
            if leaf is None or leaf.shape != wanted.shape:
                there = "none" if leaf is None else leaf.shape
                raise InputError(
                    f"{self.run}: expected {name}.{path} of shape {wanted.shape}, found {there}"
                )
            found[path] = leaf.astype(wanted.dtype)
        return tree_of(found, keys)


def read_result(run: str | Path, step: int | None = None) -> Result:
    """Reads the save of a step, or the best one (the last one without evaluations).

    Raises:
        InputError: for a directory that is not that of a run, or has no such save, or a damaged
            one.
    """
    run = Path(run)
    recipe, record, best = folders.read_recipe(run), folders.read_record(run), read_best(run)
    there = steps_in(run)
    if not there:
        raise InputError(f"{run} has no saves yet")
    chosen = step if step is not None else best.best if best.best in there else there[-1]
    if chosen not in there:
        raise InputError(f"{run} has no save of step {chosen}; available: {there}")
    folder = run / STEPS / str(chosen)
    check_save(folder)
    trees: dict[str, Any] = read_all(folder / ARRAYS)
    moving = trees.get("average") or trees["params"]
    leaves = leaves_of(moving)[0] | leaves_of(trees.get("statistics", {}))[0]
    assert chosen is not None
    return Result(run, chosen, recipe, record, best, leaves)
