"""Array transforms: from PyTorch's axis orders to ours (time before channels), and back.

Forward transforms use array methods only, so that they run on NumPy arrays and, for shapes, on
abstract arrays. Inverses, for export, always get NumPy arrays.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from importers.rules import Rule, inverted_by
from importers.table import AnyOf


@inverted_by(lambda kernel: kernel.T)
def linear(weight: Any) -> Any:
    """(out, in) to (in, out)."""
    return weight.T


@inverted_by(lambda kernel: kernel.T[:, :, None])
def pointwise(weight: Any) -> Any:
    """A convolution of kernel 1, (out, in, 1), as a matrix (in, out)."""
    return weight.reshape(weight.shape[:2]).T


@inverted_by(lambda kernel: kernel.transpose(2, 1, 0))
def conv1d(weight: Any) -> Any:
    """(out, in / groups, k) to (k, in / groups, out)."""
    return weight.transpose(2, 1, 0)


@inverted_by(lambda kernel: kernel.transpose(3, 2, 0, 1))
def conv2d(weight: Any) -> Any:
    """(out, in, height, width) to (height, width, in, out)."""
    return weight.transpose(2, 3, 1, 0)


@inverted_by(lambda kernel: kernel.transpose(1, 2, 0))
def conv_transpose1d(weight: Any) -> Any:
    """A transposed convolution's (in, out, k) to (k, in, out), taps in unchanged order."""
    return weight.transpose(2, 0, 1)


def split_linear(parts: int) -> Rule:
    """A fused (parts * out, in) to `parts` matrices (in, out), in order."""

    def split(weight: Any) -> tuple[Any, ...]:
        rows = weight.shape[0] // parts
        if rows * parts != weight.shape[0]:
            raise ValueError(f"{weight.shape[0]} rows do not split into {parts}")
        return tuple(weight[i * rows : (i + 1) * rows].T for i in range(parts))

    return Rule(split, lambda *kernels: np.concatenate([kernel.T for kernel in kernels]))


def weight_norm(prefix: str, name: str = "weight") -> AnyOf:
    """The alternative names of a weight under weight norm: old, new, and already folded."""
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


@dataclasses.dataclass(frozen=True)
class Folded(Rule):
    """A rule for a weight that a file may hold as magnitude and direction."""

    def invert(self, targets: Sequence[Any], sources: int) -> tuple[Any, ...]:
        """The weight, or its magnitude and direction, whichever the file stores."""
        (weight,) = super().invert(targets, 1)
        return (weight,) if sources == 1 else unfolded(weight)


def unfolded(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude and direction of a weight; the direction is the weight itself.

    An all-zero slice has magnitude 0 and a direction of ones, so that its norm is not 0.
    """
    axes = tuple(range(1, weight.ndim))
    norm = np.sqrt(np.sum(np.square(weight, dtype=np.float64), axis=axes, keepdims=True))
    zero = norm == 0
    direction = np.where(zero, np.ones((), weight.dtype), weight) if zero.any() else weight
    return norm.astype(weight.dtype), direction


def folded(rule: Rule) -> Folded:
    """A rule for sources of `weight_norm`: g * v / ||v||, then `rule`.

    The norm runs over all axes but the first, whatever the layout (a transposed convolution has
    one magnitude for each *input* channel), with no epsilon, as PyTorch computes it.
    """

    def fold(*sources: Any) -> Any:
        if len(sources) == 1:
            return rule(sources[0])
        magnitude, direction = sources
        if magnitude.shape != (direction.shape[0], *(1,) * (direction.ndim - 1)):
            raise ValueError(f"magnitude {magnitude.shape} does not fit {direction.shape}")
        xp = direction.__array_namespace__()
        wide = direction.astype(xp.float64 if xp.__name__ == "numpy" else xp.float32)
        axes = tuple(range(1, direction.ndim))
        norm = xp.sqrt(xp.sum(wide * wide, axis=axes, keepdims=True))
        return rule((magnitude * (wide / norm)).astype(xp.float32))

    return Folded(fold, rule.backward)


def stacked(rule: Rule) -> Rule:
    """Applies a rule to several arrays and stacks the results on a leading axis."""

    def stack(*arrays: Any) -> Any:
        return arrays[0].__array_namespace__().stack([rule(array) for array in arrays])

    def unstack(array: np.ndarray) -> tuple[Any, ...]:
        return tuple(part for row in array for part in rule.invert((row,), 1))

    return Rule(stack, unstack)
