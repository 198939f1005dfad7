"""Repeated layers, either stacked on a leading axis (as stored) or as one array per layer.

On CPU, XLA copies a layer's slice of a stacked array on each use: in a loop this doubles the memory
traffic of all weights. So networks that run in loops are unstacked when they are loaded.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from flax import nnx
from jax import lax

M = TypeVar("M", bound=nnx.Module)
C = TypeVar("C")  # carry of a scan

UNROLLED = 8  # most layers that are compiled one by one in training


def layer_at(layers: M, number: int) -> M:
    """Layer `number` of stacked or unstacked layers."""
    return jax.tree.map(operator.itemgetter(number), layers, is_leaf=_is_tuple)


def part_of(layers: M, start: int, stop: int) -> M:
    """A contiguous range of stacked layers."""
    return jax.tree.map(lambda array: array[start:stop], layers)


def scan(
    step: Callable[[C, Any], tuple[C, Any]], carry: C, inputs: Any, *, remat: bool
) -> tuple[C, Any]:
    """`lax.scan` over stacked layers, used in training.

    A loop compiles one layer instead of all of them, but what the backward pass needs is copied to
    and from arrays of all layers, a fifth of a step on a CPU. So a small network has no loop. With
    `remat` only each layer's input is kept for the backward pass, which recomputes the rest.
    """
    if not remat:
        count = len(jax.tree.leaves(inputs)[0])
        return lax.scan(step, carry, inputs, unroll=max(count, 1) if count <= UNROLLED else 1)
    # Inside a scan XLA cannot merge the recomputation with the forward pass, so the barriers of
    # `prevent_cse` are not needed.
    return lax.scan(jax.checkpoint(step, prevent_cse=False), carry, inputs)


def unstack(
    params: dict[Any, Any], place: Callable[[str, jax.Array], Any] = lambda _, layer: layer
) -> None:
    """Replaces, in place, every stacked array by a tuple with one array per layer.

    `place(name, array)` converts a layer's array, for example to a device layout.
    """
    for name, held in params.items():
        if isinstance(held, dict):
            unstack(held, place)
        else:
            params[name] = tuple(place(name, layer) for layer in held)


def _is_tuple(node: Any) -> bool:
    return isinstance(node, tuple)
