"""PyTorch's pickles as plain data: a stack machine that never imports and never calls anything.

Globals are never imported. Calls that rebuild a tensor give a `StoredTensor`, which says where its
numbers are stored; any other class, call or object becomes `Inert`. The caller decides whether an
inert value is an error: in a part of the file that is not read, it is harmless.
"""

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

MAX_BYTES = 32 * 2**20  # of a pickle; a published one has less than a quarter of a megabyte
MAX_STEPS = 4_000_000

DTYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint8": np.uint8,
    "bool": np.bool_,
}
STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.storage.UntypedStorage": "uint8",
}


class PickleError(ValueError):
    """A pickle that is damaged, too large, or not allowed by PyTorch's safe loader either."""


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function that the pickle names; it is never looked up."""

    path: str


@dataclasses.dataclass(frozen=True, eq=False)
class Inert:
    """Placeholder for an object of an unknown class, or one built incorrectly."""

    what: str


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """A contiguous array of numbers in one entry of the archive."""

    dtype: np.dtype
    key: str
    count: int


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTensor:
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """Marks the start of a group of stack items."""


_MARK = _Mark()


def parse(data: bytes | memoryview) -> Any:
    """The value of a pickle: dicts, lists, tuples, scalars, `StoredTensor`, `Name` and `Inert`.

    Raises:
        PickleError: if it is damaged, too large or unsafe.
    """
    if len(data) > MAX_BYTES:
        raise PickleError(f"a pickle of {len(data):,} bytes; {MAX_BYTES:,} at most")
    try:
        return _Machine(bytes(data)).run()
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, PickleError):
            raise
        raise PickleError(f"damaged pickle ({type(error).__name__}: {error!s:.80})") from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _dtype(value: Any) -> np.dtype:
    _require(isinstance(value, Name), "not a dtype")
    path = value.path
    _require(path.startswith("torch.") and path[6:] in DTYPES, f"dtype {path}")
    return np.dtype(DTYPES[path[6:]])


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, dtype: Any = None) -> StoredTensor:
    """A view of a storage, checked to stay within it."""
    _require(isinstance(storage, Storage), getattr(storage, "what", "not a storage"))
    _require(type(shape) is tuple and type(strides) is tuple, "shape or strides are not tuples")
    _require(len(shape) == len(strides) <= 32, "shape and strides differ in length")
    _require(all(map(_is_count, (offset, *shape, *strides))), "negative offset, shape or stride")
    dtype = storage.dtype if dtype is None else dtype
    count = storage.count * storage.dtype.itemsize // dtype.itemsize
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    _require(0 in shape or last < count, f"a view up to {last:,} of a storage of {count:,}")
    return StoredTensor(storage, dtype, offset, shape, strides)


def _rebuild_v2(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> StoredTensor:
    _require(not metadata, "a tensor with conjugate or negative bit")
    return _tensor(storage, offset, shape, strides)


def _rebuild_v3(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> StoredTensor:
    _require(not metadata, "a tensor with conjugate or negative bit")
    return _tensor(storage, offset, shape, strides, _dtype(dtype))


def _rebuild_parameter(data: Any, requires_grad: Any = True, *rest: Any) -> Any:
    _require(isinstance(data, StoredTensor), getattr(data, "what", "not a tensor"))
    return data


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    _require(isinstance(function, Name), "a tensor subclass")
    _require(function.path.startswith("torch._utils."), f"a tensor made by {function.path}")
    _require(isinstance(kind, Name) and kind.path in _TENSOR_CLASSES, f"class {_path(kind)}")
    return _REBUILD[function.path](*arguments)


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for pair in pairs:
        key, value = pair
        _set_item(result, key, value)
    return result


def _size(numbers: Any = ()) -> tuple[Any, ...]:
    _require(type(numbers) is tuple, "a size that is not a tuple")
    return numbers


def _set_item(target: dict[Any, Any], key: Any, value: Any) -> None:
    # Keys of other types are never names of weights, and could be built to take forever to hash.
    if type(key) not in (str, int, float, bool, bytes, type(None)):
        key = Inert(f"a key of type {type(key).__name__}")
    target[key] = value


_TENSOR_CLASSES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_REBUILD: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.nn.parameter.Parameter": _rebuild_parameter,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": lambda counts=None: _ordered_dict((counts or {}).items()),
    "torch.Size": _size,
}


def _path(value: Any) -> str:
    return value.path if isinstance(value, Name) else type(value).__name__


def _call(function: Any, arguments: Any) -> Any:
    """The tensor or container that a call creates, otherwise an inert value."""
    if not isinstance(function, Name):
        return function if isinstance(function, Inert) else Inert(_path(function))
    build = _REBUILD.get(function.path)
    if build is None:
        return Inert(function.path)
    try:
        _require(type(arguments) is tuple, "arguments are not a tuple")
        return build(*arguments)
    except (TypeError, ValueError, AttributeError) as error:
        return Inert(f"{function.path} ({error!s:.100})")


def _storage(pid: Any) -> Any:
    """The storage that a persistent id stands for."""
    if type(pid) is not tuple or len(pid) != 5 or pid[0] not in ("storage", b"storage"):
        return Inert("a persistent id that is not a storage")
    _, kind, key, _, count = pid
    path = _path(kind)
    if path not in STORAGES:
        return Inert(f"a storage of type {path}")
    if type(key) is not str or not _is_count(count):
        return Inert("a storage without key or size")
    return Storage(np.dtype(DTYPES[STORAGES[path]]), key, count)


class _Machine:
    """Runs the opcodes that PyTorch's safe loader knows."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0
        self.steps = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while self.steps < MAX_STEPS:
            self.steps += 1
            opcode = self.take(1)[0]
            if opcode == 0x2E:  # STOP
                _require(len(self.stack) == 1, "more than one value")
                return self.stack[0]
            step = _STEPS.get(opcode)
            if step is None:
                raise PickleError(f"pickle opcode 0x{opcode:02x}, which no saved weights need")
            step(self)
        raise PickleError(f"a pickle of more than {MAX_STEPS:,} steps")

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise PickleError("damaged pickle (it ends too early)")
        piece, self.at = self.data[self.at : end], end
        return piece

    def number(self, code: str) -> Any:
        kind = struct.Struct(code)
        return kind.unpack(self.take(kind.size))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at, self.at + 4096)
        piece = self.data[self.at : end]
        self.at = end + 1
        return piece.decode("utf-8")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        _require(value is not _MARK, "a mark where a value should be")
        return value

    def top(self) -> Any:
        _require(self.stack[-1] is not _MARK, "a mark where a value should be")
        return self.stack[-1]

    def run_of_items(self) -> list[Any]:
        """The items above the last mark."""
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                items = self.stack[i + 1 :]
                del self.stack[i:]
                return items
        raise PickleError("damaged pickle (no mark)")

    def global_name(self) -> None:
        self.push(Name(f"{self.line()}.{self.line()}"))

    def reduce(self) -> None:
        arguments = self.pop()
        if type(arguments) is tuple:  # copying one large value counts as that many steps
            self.steps += sum(len(a) for a in arguments if isinstance(a, list | dict))
        _require(self.steps < MAX_STEPS, "too much to build")
        self.push(_call(self.pop(), arguments))

    def build(self) -> None:
        self.pop()  # attributes, such as a state dict's `_metadata`: not needed
        target = self.top()
        if isinstance(target, StoredTensor):
            self.stack[-1] = Inert("a tensor with a state")

    def append(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is list:
            target.extend(items)
        else:
            _require(isinstance(target, Inert), f"an item for a {type(target).__name__}")

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        _require(len(items) % 2 == 0, "a key without a value")
        if type(target) is dict:
            for key, value in zip(items[::2], items[1::2], strict=True):
                _set_item(target, key, value)
        else:
            _require(isinstance(target, Inert), f"a key for a {type(target).__name__}")

    def set_item(self) -> None:
        value = self.pop()
        self.set_items([self.pop(), value])

    def gather(self, size: int) -> None:
        items = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(items)))

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()


_STEPS: dict[int, Callable[[_Machine], None]] = {
    0x80: lambda m: _require(m.take(1)[0] >= 2, "a text pickle"),  # PROTO
    0x28: lambda m: m.push(_MARK),
    0x63: _Machine.global_name,
    0x52: _Machine.reduce,
    0x81: _Machine.reduce,  # NEWOBJ
    0x62: _Machine.build,
    0x51: lambda m: m.push(_storage(m.pop())),  # BINPERSID
    0x61: lambda m: m.append([m.pop()]),
    0x65: lambda m: m.append(m.run_of_items()),
    0x73: _Machine.set_item,
    0x75: lambda m: m.set_items(m.run_of_items()),
    0x74: lambda m: m.push(tuple(m.run_of_items())),
    0x85: lambda m: m.gather(1),
    0x86: lambda m: m.gather(2),
    0x87: lambda m: m.gather(3),
    0x29: lambda m: m.push(()),
    0x5D: lambda m: m.push([]),
    0x7D: lambda m: m.push({}),
    0x8F: lambda m: m.push(Inert("a set")),
    0x4E: lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x4B: lambda m: m.push(m.number("<B")),
    0x4D: lambda m: m.push(m.number("<H")),
    0x4A: lambda m: m.push(m.number("<i")),
    0x47: lambda m: m.push(m.number(">d")),
    0x8A: lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    0x58: lambda m: m.push(m.take(m.number("<I")).decode("utf-8", "surrogatepass")),
    0x55: lambda m: m.push(m.take(m.number("<B"))),  # SHORT_BINSTRING
    0x68: lambda m: m.push(m.memo[m.number("<B")]),
    0x6A: lambda m: m.push(m.memo[m.number("<I")]),
    0x71: lambda m: m.remember(m.number("<B")),
    0x72: lambda m: m.remember(m.number("<I")),
}
