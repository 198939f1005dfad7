"""The training state, and the selection of trained leaves."""

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
    """Everything that a run needs to resume. Random keys are derived from `step`."""

    step: jax.Array  # int32: completed steps
    params: Leaves  # trained leaves, in float32
    statistics: Leaves  # leaves that losses update (BatchNorm statistics), in float32
    moments: dict[str, Any]  # optimizer states by part
    average: Leaves  # moving average of `params`; empty if the recipe has none


def leaves_of(params: Params) -> tuple[Leaves, dict[str, tuple[Any, ...]]]:
    """Arrays by dotted path, and the keys of each path (some are numbers)."""
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
    """The inverse of `leaves_of`."""
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
    """Paths that match a pattern. Tables only match patterns that end in their name.

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
            raise InputError(f"{pattern!r} matches no trainable parameter")
        found.update(hit)
    return tuple(path for path in paths if path in found)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The roles of a model's leaves, without arrays."""

    keys: Mapping[str, tuple[Any, ...]]  # keys of every leaf by dotted path
    tables: frozenset[str]  # always float32
    trained: Mapping[str, tuple[str, ...]]  # trained paths by part
    statistics: tuple[str, ...]

    @property
    def moving(self) -> tuple[str, ...]:
        """Paths of all leaves that change in training."""
        paths = [path for part in self.trained.values() for path in part]
        return tuple(dict.fromkeys([*paths, *self.statistics]))

    def cast(self, leaves: Mapping[str, Any], dtype: str) -> Leaves:
        """Leaves in the compute dtype; tables and statistics are unchanged."""
        kept = self.tables | set(self.statistics)
        return {
            path: leaf
            if path in kept or not jnp.issubdtype(leaf.dtype, jnp.floating)
            else leaf.astype(dtype)
            for path, leaf in leaves.items()
        }

    def tree(self, *parts: Mapping[str, Any]) -> Params:
        """The parameter tree from several dicts of leaves; later ones take precedence."""
        leaves: Leaves = {}
        for part in parts:
            leaves.update(part)
        return tree_of(leaves, self.keys)
