"""A table read backwards: arrays of a published file, of parameters.

What equals the import of another file (the base) is taken from there as it is, so that it comes
out byte for byte, whatever dtype and whatever spelling of weight norm that file has.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from importers.rules import Rule
from importers.table import Drop, Fill, Row, Tensor, Tree, fills_of, flatten


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """An array that is written anew, in the dtype of its file; it is cast as it is read."""

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
    """An array to write, by default in its own dtype."""
    return Made(array, np.dtype(array.dtype if dtype is None else dtype))


def fills(table: Sequence[Row | Drop], expected: Tree) -> tuple[Fill, ...]:
    """What the rows of a table fill, without a file: sources are spelled as they are published."""
    shapes = flatten(expected)
    rows = (row for row in table if isinstance(row, Row))
    return tuple(fill for row in rows for fill in fills_of(row, shapes, {}))


def unapply(
    fills: Iterable[Fill], params: Tree, base: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Arrays of a file by name, of the parameters that `fills` names (components in one tree).

    Args:
        fills: of `plan`, or of the function of that name.
        params: nested as the fills' targets, in any floating dtype.
        base: arrays of a published file. An array of it is kept where its import is what `params`
            holds, to the bit; others get its dtype, and float32 where it has none of the name.
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
    """Whether arrays of a file give these parts, to the bit, in the parts' dtype."""
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
    """An array in float32 at least: no magnitude of weight norm is computed in half precision."""
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array
