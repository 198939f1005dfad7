"""The header of a `.safetensors` file, checked against the file before any array is read."""

import dataclasses
import json
import math
from typing import Any

import ml_dtypes
import numpy as np

from importers.formats.mapped import MappedFile, SourceError

MAX_HEADER = 32 * 2**20  # bytes; a published one has less than a quarter of a megabyte

KINDS: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@dataclasses.dataclass(frozen=True, eq=False)
class SafeTensor:
    """One array of a `.safetensors` file."""

    file: MappedFile
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """The values, memory-mapped and read-only."""
        count = math.prod(self.shape)
        view = self.file.view(self.start, count * self.dtype.itemsize)
        return np.frombuffer(view, self.dtype, count).reshape(self.shape)


def read_header(file: MappedFile) -> dict[str, SafeTensor]:
    """The arrays of a file, by name.

    Raises:
        SourceError: if the header is damaged, or does not describe exactly the bytes after it.
    """
    if file.size < 8:
        raise SourceError(f"{file.path}: not a safetensors file ({file.size} bytes)")
    size = int.from_bytes(file.view(0, 8), "little")
    if size > MAX_HEADER or 8 + size > file.size:
        raise SourceError(
            f"{file.path}: not a safetensors file, or cut off: its header claims {size:,} "
            f"bytes, and the file has {file.size:,}"
        )
    try:
        header = json.loads(bytes(file.view(8, size)), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{file.path}: damaged safetensors header ({error!s:.80})") from error
    if not isinstance(header, dict):
        raise SourceError(f"{file.path}: damaged safetensors header (not a JSON object)")
    header.pop("__metadata__", None)
    found, spans = {}, []
    for name, entry in header.items():
        try:
            tensor, end = _tensor(file, 8 + size, entry)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"{file.path}: the safetensors header is wrong about {name!r:.80}: {error!s:.120}"
            ) from error
        found[name] = tensor
        spans.append((tensor.start, end, name))
    position = 8 + size
    for start, end, name in sorted(spans):
        if start != position:
            kind = "overlaps another array" if start < position else "leaves a gap before it"
            raise SourceError(f"{file.path}: the safetensors header is wrong: {name!r:.80} {kind}")
        position = end
    if position != file.size:
        raise SourceError(
            f"{file.path}: the safetensors header describes {position:,} bytes, and the file has "
            f"{file.size:,} (is it cut off?)"
        )
    return found


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Hook for `json.loads` that rejects duplicate names."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _tensor(file: MappedFile, base: int, entry: Any) -> tuple[SafeTensor, int]:
    """One array of the header, and the offset of its end."""
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in KINDS:
        raise ValueError(f"unknown dtype {dtype!r:.40}")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise ValueError("shape and data_offsets should be lists")
    if any(type(n) is not int or not 0 <= n < 2**48 for n in [*shape, *offsets]) or len(shape) > 32:
        raise ValueError("shape and data_offsets should be sizes")
    kind, (begin, end) = np.dtype(KINDS[dtype]), offsets
    expected = math.prod(shape) * kind.itemsize
    if end - begin != expected:
        raise ValueError(f"{expected:,} bytes from shape and dtype, {end - begin:,} from offsets")
    if base + end > file.size:
        raise ValueError(
            f"it ends at byte {base + end:,}, and the file has {file.size:,} (is it cut off?)"
        )
    return SafeTensor(file, base + begin, kind, tuple(shape)), base + end
