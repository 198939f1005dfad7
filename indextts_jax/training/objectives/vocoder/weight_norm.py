"""Weight norm in training; checkpoints store plain kernels.

A kernel `w` becomes `gain * direction / |direction|`, with one norm for each slice along one axis.
`fold` converts back to plain kernels.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from indextts_jax.models.components import Params

KERNEL, DIRECTION, GAIN = "kernel", "direction", "gain"
LEAST = 1e-12  # lower bound of norms, for kernels of zeros
Axis = Callable[[tuple[Any, ...]], int]


def outputs(path: tuple[Any, ...]) -> int:
    """The axis of output channels, the last of every kernel."""
    return -1


def outputs_or_inputs(path: tuple[Any, ...]) -> int:
    """The vocoder's axis: outputs, but inputs for transposed convolutions, as in PyTorch."""
    return -2 if path[0] == "ups" else -1


def norms(kernel: Float[Array, "*k"], axis: int) -> Float[Array, "*k"]:
    """The norm of each slice, with the other axes kept at size one."""
    others = tuple(i for i in range(kernel.ndim) if i != axis % kernel.ndim)
    return jnp.sqrt(jnp.sum(jnp.square(kernel), axis=others, keepdims=True))


def unfold(params: Params, axis: Axis = outputs) -> Params:
    """Replaces every kernel by a direction (the kernel itself) and its gains."""

    def split(path: tuple[Any, ...], kernel: Any) -> Any:
        if isinstance(kernel, dict):  # already unfolded
            return kernel
        kernel = jnp.asarray(kernel, jnp.float32)
        return {DIRECTION: kernel, GAIN: norms(kernel, axis(path))}

    return _walk(params, split)


def fold(params: Params, axis: Axis = outputs) -> Params:
    """Converts back to plain kernels; kernels that are already plain are unchanged."""

    def join(path: tuple[Any, ...], kernel: Any) -> Any:
        if not isinstance(kernel, dict):
            return kernel
        direction = kernel[DIRECTION]
        length = jnp.maximum(norms(direction, axis(path)), LEAST)
        return kernel[GAIN] * direction / length

    return _walk(params, join)


def _walk(params: Params, change: Callable[..., Any], path: tuple[Any, ...] = ()) -> Params:
    changed: Params = {}
    for name, held in params.items():
        if name == KERNEL:
            changed[name] = change((*path, name), held)
        else:
            inner = isinstance(held, dict)
            changed[name] = _walk(held, change, (*path, name)) if inner else held
    return changed
