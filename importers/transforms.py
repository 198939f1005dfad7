"""Array rules of the tables: from PyTorch's axis orders to ours, time before channels.

Each is written with array methods alone, so that it runs on NumPy arrays and, for shapes, on
abstract ones.
"""

from collections.abc import Callable
from typing import Any

from importers.table import AnyOf


def linear(weight: Any) -> Any:
    """(out, in) to (in, out)."""
    return weight.T


def pointwise(weight: Any) -> Any:
    """A convolution of kernel 1, (out, in, 1), as a matrix (in, out)."""
    return weight.reshape(weight.shape[:2]).T


def conv1d(weight: Any) -> Any:
    """(out, in / groups, k) to (k, in / groups, out)."""
    return weight.transpose(2, 1, 0)


def conv2d(weight: Any) -> Any:
    """(out, in, height, width) to (height, width, in, out)."""
    return weight.transpose(2, 3, 1, 0)


def conv_transpose1d(weight: Any) -> Any:
    """A transposed convolution's (in, out, k) to (k, in, out), taps in the order of the file."""
    return weight.transpose(2, 0, 1)


def split_linear(parts: int) -> Callable[[Any], tuple[Any, ...]]:
    """A fused (parts * out, in) to as many matrices (in, out), in order."""

    def split(weight: Any) -> tuple[Any, ...]:
        rows = weight.shape[0] // parts
        if rows * parts != weight.shape[0]:
            raise ValueError(f"{weight.shape[0]} rows do not split into {parts}")
        return tuple(weight[i * rows : (i + 1) * rows].T for i in range(parts))

    return split


def weight_norm(prefix: str, name: str = "weight") -> AnyOf:
    """The spellings of a weight under weight norm: old, new, and folded already."""
    stem = f"{prefix}.{name}"
    return AnyOf(
        (
            (f"{stem}_g", f"{stem}_v"),
            (
                f"{prefix}.parametrizations.{name}.original0",
                f"{prefix}.parametrizations.{name}.original1",
            ),
            (stem,),
        )
    )


def folded(transform: Callable[[Any], Any]) -> Callable[..., Any]:
    """A rule for sources of `weight_norm`: g * v / ||v||, then `transform`.

    The norm runs over all axes but the first, whatever the layout (a transposed convolution has
    one magnitude for each *input* channel), with no epsilon, as PyTorch computes it.
    """

    def fold(*sources: Any) -> Any:
        if len(sources) == 1:
            return transform(sources[0])
        magnitude, direction = sources
        if magnitude.shape != (direction.shape[0], *(1,) * (direction.ndim - 1)):
            raise ValueError(f"magnitude {magnitude.shape} does not fit {direction.shape}")
        xp = direction.__array_namespace__()
        wide = direction.astype(xp.float64 if xp.__name__ == "numpy" else xp.float32)
        axes = tuple(range(1, direction.ndim))
        norm = xp.sqrt(xp.sum(wide * wide, axis=axes, keepdims=True))
        return transform((magnitude * (wide / norm)).astype(xp.float32))

    return fold
