"""Named arrays in a directory of safetensors files: append-only and memory-mapped.

    store = Shards(directory)
    if "mel/3f2a" not in store:
        store.put("mel/3f2a", mel)
    store.flush()
    store["mel/3f2a"]

Files are written atomically, so flushed arrays survive a crash.
"""

import json
import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from indextts_jax.errors import InputError
from indextts_jax.utils.atomic import write_whole

SHARD_BYTES = 256 * 2**20  # most bytes per file; a larger array has its own file
FLUSH_SECONDS = 120.0  # most bytes lost in a crash
_ENDING = ".safetensors"
_DTYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
}


class _Place(NamedTuple):
    """The location of an array."""

    file: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int  # byte offset in the file


class Shards:
    """The arrays of a directory by name; one writing process, any number of readers.

    Raises:
        InputError: for a file that is damaged.
    """

    def __init__(self, folder: str | Path, *, shard_bytes: int | None = None):
        self.folder = Path(folder)
        self._limit = SHARD_BYTES if shard_bytes is None else shard_bytes
        self._places: dict[str, _Place] = {}
        self._maps: dict[Path, np.memmap] = {}
        self._waiting: dict[str, np.ndarray] = {}
        self._bytes, self._since = 0, time.monotonic()
        for path in sorted(self.folder.glob(f"*{_ENDING}")):
            self._places.update(_read_header(path))

    def __contains__(self, name: str) -> bool:
        return name in self._places or name in self._waiting

    def __getitem__(self, name: str) -> np.ndarray:
        """The array as a read-only memory map; KeyError if it does not exist."""
        if name in self._waiting:
            return self._waiting[name]
        place = self._places[name]
        if place.file not in self._maps:
            self._maps[place.file] = np.memmap(place.file, mode="r", dtype=np.uint8)
        size = place.dtype.itemsize * int(np.prod(place.shape, dtype=np.int64))
        view = self._maps[place.file][place.start : place.start + size]
        return np.asarray(view).view(place.dtype).reshape(place.shape)

    def put(self, name: str, array: np.ndarray) -> None:
        """Adds an array, unless the name already exists.

        Raises:
            ValueError: for an unsupported dtype.
        """
        if array.dtype not in _DTYPES.values():
            raise ValueError(f"{name}: dtype {array.dtype} is not supported")
        if name in self:
            return
        size = array.nbytes
        due = time.monotonic() - self._since > FLUSH_SECONDS
        if self._waiting and (self._bytes + size > self._limit or due):
            self.flush()
        # A copy, because the caller may reuse its buffer.
        self._waiting[name] = np.array(array, order="C")
        self._bytes += size

    def flush(self) -> None:
        """Writes pending arrays to a new file.

        Raises:
            InputError: if it cannot be written.
        """
        if self._waiting:
            numbers = [int(p.stem) for p in self.folder.glob(f"*{_ENDING}") if p.stem.isdigit()]
            path = self.folder / f"{max(numbers, default=-1) + 1:05d}{_ENDING}"
            try:
                write_whole(path, safetensors.numpy.save(self._waiting))
            except OSError as error:
                raise InputError(f"{path} cannot be written: {error.strerror}") from error
            self._places.update(_read_header(path))
            self._waiting = {}
        self._bytes, self._since = 0, time.monotonic()


def _read_header(path: Path) -> dict[str, _Place]:
    """Reads the header: the arrays of a file by name.

    Raises:
        InputError: if it is not a safetensors file, or truncated.
    """
    damaged = f"{path} is damaged: delete it and prepare the data again"
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            total = os.fstat(file.fileno()).st_size
            if size > total - 8:
                raise InputError(damaged)
            header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        found = {}
        for name, entry in header.items():
            dtype, shape = _DTYPES[entry["dtype"]], tuple(map(int, entry["shape"]))
            first, last = entry["data_offsets"]
            count = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            if not 0 <= first <= last <= total - 8 - size or last - first != count:
                raise InputError(damaged)
            found[name] = _Place(path, dtype, shape, 8 + size + first)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(damaged) from error
    return found
