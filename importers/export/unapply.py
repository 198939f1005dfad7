"""Inverts an import table: from parameters to the arrays of a published file.

Arrays whose import from another file (the base) gives the same parameters are copied from there,
byte for byte, whatever dtype and form of weight norm that file uses.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from importers.rules import Rule
from importers.table import Drop, Fill, Row, Tensor, Tree, fills_of, flatten


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """An array computed from parameters, cast to the file's dtype when it is read."""

    array: np.ndarray
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the file."""
        return self.array.shape

    def read(self) -> np.ndarray:
        """The values."""
        return self.array.astype(self.dtype, copy=False)


def made(array: np.ndarray, dtype: Any = None) -> Made:
    """An array to write, in its own dtype unless another is given."""
    return Made(array, np.dtype(array.dtype if dtype is None else dtype))


def fills(table: Sequence[Row | Drop], expected: Tree) -> tuple[Fill, ...]:
    """The fills of a table without a file: sources have their published names."""
    shapes = flatten(expected)
    rows = (row for row in table if isinstance(row, Row))
    return tuple(fill for row in rows for fill in fills_of(row, shapes, {}))


def unapply(
    fills: Iterable[Fill], params: Tree, base: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Arrays of a file by name, from the parameters that `fills` names (components in one tree).

    Args:
        fills: as given by `plan` or by the function `fills`.
        params: nested as the fills' targets, in any floating dtype.
        base: arrays of a published file. An array is copied if importing it gives exactly what
            `params` holds; otherwise the new array gets its dtype, or float32 if the base has no
            array of that name.
    """
    base = base or {}
    flat = flatten(params)
    result: dict[str, Tensor] = {}
    for fill in fills:
        rule, ours = fill.transform, [np.asarray(flat[target]) for target in fill.targets]
        if not isinstance(rule, Rule):
            raise TypeError(f"the rule of {fill.targets[0]} has no inverse")
        for index, sources in zip(np.ndindex(*fill.stack), fill.sources, strict=True):
            parts = [array[index] for array in ours]
            held = [base[name] for name in sources if name in base]
            if len(held) == len(sources) and _gives(rule, held, parts):
                result.update(zip(sources, held, strict=True))
                continue
            arrays = rule.invert([_wide(part) for part in parts], len(sources))
            for name, array in zip(sources, arrays, strict=True):
                result[name] = made(array, base[name].dtype if name in base else np.float32)
    return result


def _gives(rule: Rule, held: Sequence[Tensor], parts: Sequence[np.ndarray]) -> bool:
    """Whether importing these arrays gives exactly these parts, in the parts' dtype."""
    made = rule(*(np.asarray(tensor.read()) for tensor in held))
    with np.errstate(over="ignore"):
        pairs = zip(made if isinstance(made, tuple) else (made,), parts, strict=True)
        return all(
            theirs.shape == ours.shape and _same_bits(theirs.astype(ours.dtype, copy=False), ours)
            for theirs, ours in pairs
        )


def _same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether finite arrays are equal, and their zeros have the same signs."""
    return bool((left == right).all() and (np.signbit(left) == np.signbit(right)).all())


def _wide(array: np.ndarray) -> np.ndarray:
    """An array in at least float32, so that weight norm is not computed in half precision."""
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array
