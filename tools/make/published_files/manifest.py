"""Names, shapes and dtypes of a published file's arrays, as JSON manifests hold them."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

SIZES = {"float32": 4, "int64": 8, "bfloat16": 2}  # bytes of one number


class Spec(NamedTuple):
    """One array of a file."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """What its numbers take."""
        return math.prod(self.shape) * SIZES[self.dtype]


Nested = dict[str, Any]
"""Specs by name, in dictionaries nested as those of the file are."""


def read(path: Path) -> Nested:
    """The manifest in a JSON file; a dictionary of just `shape` and `dtype` is an array."""

    def specs(node: Mapping[str, Any]) -> Any:
        if node.keys() == {"shape", "dtype"}:
            return Spec(tuple(node["shape"]), node["dtype"])
        return {name: specs(child) for name, child in node.items()}

    return specs(json.loads(path.read_text(encoding="utf-8")))


def arrays(nested: Nested, prefix: str = "") -> Iterator[tuple[str, Spec]]:
    """The arrays of nested dictionaries, named by the path of keys joined by dots."""
    for name, value in nested.items():
        if isinstance(value, Spec):
            yield f"{prefix}{name}", value
        else:
            yield from arrays(value, f"{prefix}{name}.")


def size(nested: Nested) -> int:
    """Bytes of all arrays."""
    return sum(spec.bytes for _, spec in arrays(nested))
