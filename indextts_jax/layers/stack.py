"""Layers of one kind, stacked along a first axis as they are stored, or lying apart.

A slice of a stacked array is copied whenever it is used, on a CPU at least: in a loop that is the
traffic of all weights twice over. So what runs in loops is taken apart as it is loaded.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from flax import nnx

M = TypeVar("M", bound=nnx.Module)


def nth(layers: M, number: int) -> M:
    """One of the layers, in either form."""
    return jax.tree.map(operator.itemgetter(number), layers, is_leaf=_is_tuple)


def taken_apart(
    params: dict[Any, Any], placed: Callable[[str, jax.Array], Any] = lambda _, layer: layer
) -> None:
    """Replaces every stacked array by a tuple of its layers', one array after the other.

    `placed` gives a layer's array, of this name, another form.
    """
    for name, held in params.items():
        if isinstance(held, dict):
            taken_apart(held, placed)
        else:
            params[name] = tuple(placed(name, layer) for layer in held)


def _is_tuple(node: Any) -> bool:
    return isinstance(node, tuple)
