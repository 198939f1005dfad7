"""What changes from step to step, and which leaves of the parameters train."""

import dataclasses
import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from indextts_jax.errors import InputError
from indextts_jax.models.components import Params

Leaves = dict[str, Any]  # arrays by dotted path, such as `gpt.blocks.attention.qkv.kernel`


class State(NamedTuple):
    """All that a run has to know to go on, and no more. Random keys follow from `step`."""

    step: jax.Array  # int32: steps done
    params: Leaves  # those that train, in float32
    statistics: Leaves  # those that losses give anew (of a BatchNorm), in float32
    moments: dict[str, Any]  # of the optimizers, by part
    average: Leaves  # moving average of `params`; empty where the recipe wants none


def leaves_of(params: Params) -> tuple[Leaves, dict[str, tuple[Any, ...]]]:
    """Arrays by dotted path, and the keys that each path stands for (some are numbers)."""
    leaves: Leaves = {}
    keys: dict[str, tuple[Any, ...]] = {}

    def walk(tree: Any, place: tuple[Any, ...]) -> None:
        if isinstance(tree, Mapping):
            for key, value in tree.items():
                walk(value, (*place, key))
            return
        path = ".".join(map(str, place))
        leaves[path], keys[path] = tree, place

    walk(params, ())
    return leaves, keys


def tree_of(leaves: Mapping[str, Any], keys: Mapping[str, tuple[Any, ...]]) -> Params:
    """The nested dict of leaves; the inverse of `leaves_of`."""
    tree: Params = {}
    for path, leaf in leaves.items():
        *parents, last = keys[path]
        place = tree
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = leaf
    return tree


def matching(
    patterns: Sequence[str], paths: Iterable[str], tables: Collection[str] = ()
) -> tuple[str, ...]:
    """Paths that a pattern matches. A table is matched only by a pattern that ends in its name.

    Raises:
        InputError: for a pattern that matches nothing.
    """
    paths, found = list(paths), set()
    for pattern in patterns:
        last = pattern.rsplit(".", 1)[-1]
        hit = [
            path
            for path in fnmatch.filter(paths, pattern)
            if path not in tables or path.rsplit(".", 1)[-1] == last
        ]
        if not hit:
            raise InputError(f"{pattern!r} matches no parameter that trains")
        found.update(hit)
    return tuple(path for path in paths if path in found)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the leaves of a model's parameters belong; the arrays are elsewhere."""

    keys: Mapping[str, tuple[Any, ...]]  # of every leaf, by dotted path
    tables: frozenset[str]  # stored numbers: float32 whatever the others are
    trained: Mapping[str, tuple[str, ...]]  # paths by part
    statistics: tuple[str, ...]

    @property
    def moving(self) -> tuple[str, ...]:
        """Paths of all leaves that change."""
        paths = [path for part in self.trained.values() for path in part]
        return tuple(dict.fromkeys([*paths, *self.statistics]))

    def cast(self, leaves: Mapping[str, Any], dtype: str) -> Leaves:
        """Leaves in the dtype that is computed with; tables and statistics stay as they are."""
        kept = self.tables | set(self.statistics)
        return {
            path: leaf
            if path in kept or not jnp.issubdtype(leaf.dtype, jnp.floating)
            else leaf.astype(dtype)
            for path, leaf in leaves.items()
        }

    def tree(self, *parts: Mapping[str, Any]) -> Params:
        """The parameters, whose leaves are in several dicts; later ones win."""
        leaves: Leaves = {}
        for part in parts:
            leaves.update(part)
        return tree_of(leaves, self.keys)
