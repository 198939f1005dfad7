"""Writes files in PyTorch's format without PyTorch, sound ones and damaged ones."""

import dataclasses
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
}


@dataclasses.dataclass(frozen=True)
class Global:
    """A name that the pickle looks up."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a name, with a state that is set afterwards if there is one."""

    function: Global
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclasses.dataclass(frozen=True)
class View:
    """A tensor with a storage of its own, seen through offset, shape and strides."""

    storage: np.ndarray
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    rebuild: str = "_rebuild_tensor_v2"


@dataclasses.dataclass(frozen=True)
class Raw:
    """Opcodes as they are."""

    data: bytes


def text(word: str) -> bytes:
    data = word.encode()
    return b"X" + struct.pack("<I", len(data)) + data


class _Pickler:
    """Pickles of protocol 2 as `torch.save` writes them, without a memo."""

    def __init__(self) -> None:
        self.storages: list[np.ndarray] = []

    def dump(self, value: Any) -> bytes:
        return b"\x80\x02" + self.encode(value) + b"."

    def encode(self, value: Any) -> bytes:
        match value:
            case Raw(data):
                return data
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int() if -(2**31) <= value < 2**31:
                return b"J" + struct.pack("<i", value)
            case int():
                data = value.to_bytes(8, "little", signed=True)
                return b"\x8a" + bytes([len(data)]) + data
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                return text(value)
            case tuple():
                return b"(" + b"".join(map(self.encode, value)) + b"t"
            case list():
                return b"](" + b"".join(map(self.encode, value)) + b"e"
            case dict():
                pairs = (self.encode(key) + self.encode(v) for key, v in value.items())
                return b"}(" + b"".join(pairs) + b"u"
            case Global(module, name):
                return f"c{module}\n{name}\n".encode()
            case Call(function, arguments, state):
                made = self.encode(function) + self.encode(arguments) + b"R"
                return made if state is None else made + self.encode(state) + b"b"
            case View():
                return self.tensor(value)
            case np.ndarray():
                steps = tuple(
                    s // value.itemsize for s in np.empty(value.shape, value.dtype).strides
                )
                return self.tensor(View(value.ravel(), 0, value.shape, steps))
        raise TypeError(type(value))

    def tensor(self, view: View) -> bytes:
        self.storages.append(view.storage)
        kind = Global("torch", _STORAGES[view.storage.dtype.name])
        key = str(len(self.storages) - 1)
        storage = self.encode(("storage", kind, key, "cpu", view.storage.size)) + b"Q"
        hooks = Call(Global("collections", "OrderedDict"))
        return self.encode(
            Call(
                Global("torch._utils", view.rebuild),
                (Raw(storage), view.offset, view.shape, view.strides, False, hooks),
            )
        )


def dump(value: Any) -> bytes:
    """The pickle alone."""
    return _Pickler().dump(value)


def save(
    path: Path,
    value: Any,
    *,
    compression: int = zipfile.ZIP_STORED,
    change: Callable[[dict[str, bytes]], None] = lambda entries: None,
) -> Path:
    """A file like those of `torch.save`; `change` may damage its entries before they are packed."""
    pickler = _Pickler()
    entries = {"archive/data.pkl": pickler.dump(value), "archive/byteorder": b"little"}
    for number, storage in enumerate(pickler.storages):
        entries[f"archive/data/{number}"] = storage.tobytes()
    entries["archive/version"] = b"3\n"
    change(entries)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path
