"""Invertible transforms of arrays, so that a table works for import and export."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Rule:
    """A transform from a file's arrays to ours, and its inverse.

    Called with the source arrays, it gives one array, or a tuple with one for each target.
    `backward` is called with the target arrays, and gives one array, or a tuple with one for each
    source.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __call__(self, *sources: Any) -> Any:
        """Our arrays, of those of a file."""
        return self.forward(*sources)

    def invert(self, targets: Sequence[Any], sources: int) -> tuple[Any, ...]:
        """The given number of a file's arrays, from ours (NumPy arrays).

        Raises:
            ValueError: if the rule gives another number of arrays.
        """
        given = self.backward(*targets)
        arrays = given if isinstance(given, tuple) else (given,)
        if len(arrays) != sources:
            raise ValueError(f"the rule gives {len(arrays)} arrays of a file, expected {sources}")
        return arrays


def inverted_by(backward: Callable[..., Any]) -> Callable[[Callable[..., Any]], Rule]:
    """Decorator that makes a rule from a function; the argument is its inverse."""
    return lambda forward: Rule(forward, backward)
