"""Writes `.safetensors` files array by array: no more than one is in memory."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from importers.formats.safetensors_header import KINDS
from importers.table import Tensor

_NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}
ALIGNMENT = 8  # bytes, of the first array; the arrays follow each other without holes


def write_safetensors(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """A file with these arrays, in their order.

    Raises:
        TypeError: for a dtype that the format has no name for.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers insists on it
    start = 0
    for name, tensor in arrays.items():
        if tensor.dtype not in _NAMES:
            raise TypeError(f"{name}: a safetensors file has no dtype {tensor.dtype}")
        end = start + int(np.prod(tensor.shape, dtype=np.int64)) * tensor.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in arrays.values():
            file.write(np.ascontiguousarray(tensor.read()).reshape(-1).view(np.uint8).data)
