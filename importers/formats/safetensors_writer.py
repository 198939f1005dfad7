"""Writes `.safetensors` files array by array, with one in memory at a time."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from importers.formats.safetensors_header import KINDS
from importers.table import Tensor

_NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}
ALIGNMENT = 8  # bytes, of the first array; the others follow without gaps


def write_safetensors(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Writes a file with these arrays, in this order.

    Raises:
        TypeError: for a dtype that the format does not support.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers requires it
    start = 0
    for name, tensor in arrays.items():
        if tensor.dtype not in _NAMES:
            raise TypeError(f"{name}: safetensors does not support dtype {tensor.dtype}")
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
