"""Repeated layers, stacked on a leading axis (as stored) or as one array for each layer.

XLA copies a slice of a stacked array whenever it is used, on a CPU at least: in a loop that is the
traffic of all weights twice over. So the layers of networks that run in loops are unstacked as they
are loaded.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from flax import nnx
from jax import lax

M = TypeVar("M", bound=nnx.Module)
C = TypeVar("C")  # what a scan carries


def layer_at(layers: M, number: int) -> M:
    """One of the layers, stacked or unstacked."""
    return jax.tree.map(operator.itemgetter(number), layers, is_leaf=_is_tuple)


def part_of(layers: M, start: int, stop: int) -> M:
    """Some of the layers of a stack."""
    return jax.tree.map(lambda array: array[start:stop], layers)


def scan(
    step: Callable[[C, Any], tuple[C, Any]], carry: C, inputs: Any, *, remat: bool
) -> tuple[C, Any]:
    """`lax.scan` over stacked layers, the form that trains.

    It compiles one layer instead of all of them, and with `remat` keeps a layer's input alone for
    the backward pass, in which the rest of the layer is computed again.
    """
    # Within a scan nothing can be merged with the first computation, so no barrier is needed.
    body = jax.checkpoint(step, prevent_cse=False) if remat else step
    return lax.scan(body, carry, inputs)


def unstack(
    params: dict[Any, Any], place: Callable[[str, jax.Array], Any] = lambda _, layer: layer
) -> None:
    """Replaces every stacked array by a tuple with one array for each layer, one after the other.

    `place(name, array)` gives a layer's array of that name another form.
    """
    for name, held in params.items():
        if isinstance(held, dict):
            unstack(held, place)
        else:
            params[name] = tuple(place(name, layer) for layer in held)


def _is_tuple(node: Any) -> bool:
    return isinstance(node, tuple)
