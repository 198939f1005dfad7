"""Writes files in PyTorch's zip format without PyTorch: the mirror of `pickles.py`.

The pickle holds dictionaries, and for each array the call that rebuilds a tensor from its storage.
`torch.load(path, weights_only=True)` reads the file, memory-mapped or not.
"""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from importers.formats.pickles import DTYPES, STORAGES
from importers.table import Tensor

# The storage classes, under names that every version of PyTorch knows.
_CLASSES = {np.dtype(DTYPES[name]): path for path, name in reversed(STORAGES.items())}
FOLDER = "archive"
ALIGNMENT = 64  # bytes, of every storage in the file: PyTorch's own files have it
_PADDING = b"FB"  # the mark of PyTorch's own padding, an extra field of the zip format
_ZIP64 = 20  # bytes of the extra field that sizes past 4 GB need


def write_torch(path: Path, layout: Any, arrays: Mapping[str, Tensor]) -> None:
    """Writes a file as `torch.save` does, with one storage for each array.

    Args:
        path: of the new file.
        layout: nested dictionaries whose leaves are names of arrays, or one name.
        arrays: by name; each is read as it is written.

    Raises:
        TypeError: for a dtype without a PyTorch storage class.
    """
    pickler = _Pickler(arrays)
    data = b"\x80\x02" + pickler.encode(layout) + b"."
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", data)
        _add(archive, "byteorder", b"little")
        for number, name in enumerate(pickler.names):
            array = np.ascontiguousarray(arrays[name].read())
            _add(archive, f"data/{number}", array.reshape(-1).view(np.uint8).data)
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    """Writes an entry whose data begins at a multiple of `ALIGNMENT`."""
    entry = zipfile.ZipInfo(f"{FOLDER}/{name}")
    entry.file_size = len(data)
    large = len(data) > zipfile.ZIP64_LIMIT // 2
    assert archive.fp is not None
    # A local header is 30 bytes, the name, and the extra fields, each with 4 bytes of its own.
    header = 30 + len(entry.filename.encode()) + 4 + (_ZIP64 if large else 0)
    padding = -(archive.fp.tell() + header) % ALIGNMENT
    entry.extra = _PADDING + struct.pack("<H", padding) + bytes(padding)
    with archive.open(entry, "w", force_zip64=large) as stream:
        stream.write(data)


class _Pickler:
    """Pickles of protocol 2, without a memo, as hardly anything repeats."""

    def __init__(self, arrays: Mapping[str, Tensor]):
        self.arrays = arrays
        self.names: list[str] = []  # of the arrays, by the number of their storage

    def encode(self, value: Any) -> bytes:
        """The opcodes that leave a value on the stack."""
        if isinstance(value, dict):
            pairs = (_key(key) + self.encode(child) for key, child in value.items())
            return b"}(" + b"".join(pairs) + b"u"
        return self.tensor(value)

    def tensor(self, name: str) -> bytes:
        """A call of the function that rebuilds a tensor of a storage, offset, shape and strides."""
        tensor = self.arrays[name]
        if tensor.dtype not in _CLASSES:
            raise TypeError(f"{name}: PyTorch has no storage for {tensor.dtype}")
        count = int(np.prod(tensor.shape, dtype=np.int64))
        strides = [1]
        for size in reversed(tensor.shape[1:]):
            strides.insert(0, strides[0] * size)
        number = len(self.names)
        self.names.append(name)
        storage = _tuple(
            _text("storage"),
            _global(_CLASSES[tensor.dtype]),
            _text(str(number)),
            _text("cpu"),
            _whole(count),
        )
        arguments = _tuple(
            storage + b"Q",  # a persistent id, by which the reader finds the storage
            _whole(0),
            _tuple(*map(_whole, tensor.shape)),
            _tuple(*map(_whole, strides[: len(tensor.shape)])),
            b"\x89",  # needs no gradient
            _global("collections.OrderedDict") + b")R",  # no hooks
        )
        return _global("torch._utils._rebuild_tensor_v2") + arguments + b"R"


def _key(key: Any) -> bytes:
    return _text(key) if isinstance(key, str) else _whole(key)


def _text(word: str) -> bytes:
    data = word.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _whole(number: int) -> bytes:
    if -(2**31) <= number < 2**31:
        return b"J" + struct.pack("<i", number)
    data = number.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _global(path: str) -> bytes:
    module, _, name = path.rpartition(".")
    return f"c{module}\n{name}\n".encode()
