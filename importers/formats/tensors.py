"""Published files as named arrays, memory-mapped: `.safetensors`, and PyTorch's zip format.

    tensors = open_tensors(Path("s2mel.pth"), part="net")
    tensors["cfm.estimator.conv1.weight"].read()

PyTorch is not needed, and nothing in a file is ever executed. A part that is not requested (an
optimizer's state) is parsed with the file's pickle, but its numbers are not read.
"""

import dataclasses
import shlex
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from importers.formats import pickles, zips
from importers.formats.mapped import MappedFile, SourceError
from importers.formats.pickles import Inert, Name, PickleError, Storage, StoredTensor
from importers.formats.safetensors_header import read_header
from importers.table import Tensor, passed_over

__all__ = ["BARE", "SourceError", "Tensors", "open_tensors"]

BARE = "tensor"  # the name of the array in a file that holds a single bare tensor

MAX_NAMES = 200_000
MAX_DEPTH = 16
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class Tensors(dict[str, Tensor]):
    """The arrays of a file by dotted name, each read on demand."""

    def __init__(
        self,
        file: MappedFile,
        tensors: Mapping[str, Tensor],
        ignored: Sequence[str] = (),
        layout: Any = None,
        unread: Sequence[str] = (),
    ):
        super().__init__(tensors)
        self.path = file.path
        self.ignored = tuple(ignored)  # values that are not arrays, skipped by name
        # Structure of the file: nested dictionaries with its own keys and array names as leaves;
        # for a file with a single bare array, its name.
        self.layout = dict(zip(tensors, tensors, strict=True)) if layout is None else layout
        self.unread = tuple(unread)  # top-level keys beside the requested part
        self.prefix = ""  # of the names in the file, removed; apart from the requested part
        self._file = file

    @property
    def bytes_read(self) -> int:
        """Bytes of the file requested so far."""
        return self._file.bytes_read

    def release(self) -> None:
        """Lets the system reclaim the memory of what was read."""
        self._file.release()


@dataclasses.dataclass(frozen=True, eq=False)
class TorchTensor:
    """One array of a PyTorch file: a view of a storage, which may be shared."""

    file: MappedFile
    start: int  # of the storage
    stored: StoredTensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the file."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype:
        """Its dtype in the file."""
        return self.stored.dtype

    def read(self) -> np.ndarray:
        """The values, memory-mapped and not to be written to."""
        view, size = self.stored, self.dtype.itemsize
        if 0 in view.shape:
            return np.empty(view.shape, self.dtype)
        count = 1 + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
        data = self.file.view(self.start + view.offset * size, count * size)
        array = np.frombuffer(data, self.dtype, count)
        strides = tuple(s * size for s in view.strides)
        return np.lib.stride_tricks.as_strided(array, view.shape, strides, writeable=False)


def open_tensors(
    path: str | Path,
    *,
    part: str | None = None,
    optional: bool = False,
    bare: bool = False,
    ignore: Sequence[str] = (),
    anchor: str | None = None,
) -> Tensors:
    """The arrays of a published file; nested names are joined by dots.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote.
        part: the top-level key of a PyTorch file to read; everything else is skipped.
        optional: whether to read the whole file if that key is missing.
        bare: whether the file is a single array, which is then named `BARE`.
        ignore: names of values to skip although they are not arrays.
        anchor: name of an array that the file must hold. If it is there once, behind a prefix such
            as `state_dict.` or `_orig_mod.`, the arrays with that prefix are read.

    A leading `module.` is removed if every name of a dictionary has it.

    Raises:
        SourceError: for a file that is damaged, truncated, inconsistent, or would run code.
        FileNotFoundError: if the file does not exist.
    """
    path = Path(path)
    file = MappedFile(path)
    if path.suffix == ".safetensors":
        held: dict[str, Tensor] = dict(read_header(file))
        arrays = _unwrapped(held, f"{part}." if part else "")
        chosen = chosen_prefix(arrays, anchor, path)
        names = {name: name.removeprefix(chosen) for name in arrays if name.startswith(chosen)}
        left = tuple(name for name in arrays if name not in names)
        held = {n: h for n, h, a in zip(held, held.values(), arrays, strict=True) if a in names}
        arrays = {names[name]: array for name, array in arrays.items() if name in names}
        arrays = {BARE: next(iter(arrays.values()))} if bare and len(arrays) == 1 else arrays
        tensors = Tensors(file, arrays, layout=dict(zip(held, arrays, strict=True)), unread=left)
        tensors.prefix = chosen
    else:
        tensors = _open_torch(file, part, optional, set(ignore), anchor)
    if bare and list(tensors) != [BARE]:
        raise SourceError(f"{path}: expected one bare array, got {len(tensors)} named ones")
    return tensors


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a small published file, by name.

    Raises:
        SourceError: as `open_tensors`, and if the file does not exist.
    """
    try:
        tensors = open_tensors(path)
    except FileNotFoundError as error:
        raise SourceError(f"{path}: there is no such file") from error
    return {name: np.array(tensors[name].read()) for name in tensors}


def _unwrapped(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Renames arrays: removes `prefix`, and `module.` where every name has it.

    The same applies one level down, where all names below a key start with `module.`
    """
    for text in (prefix, "module."):
        if text and arrays and all(name.startswith(text) for name in arrays):
            arrays = {name.removeprefix(text): array for name, array in arrays.items()}
    below: dict[str, bool] = {}
    for name in arrays:
        word, _, rest = name.partition(".")
        below[word] = below.get(word, True) and rest.startswith("module.")

    def bare(name: str) -> str:
        word = name.split(".")[0]
        return name.replace(".module.", ".", 1) if below[word] else name

    return {bare(name): array for name, array in arrays.items()}


def chosen_prefix(names: Iterable[str], anchor: str | None, path: Path) -> str:
    """The prefix of the names that are to be read; empty where they have none.

    Raises:
        SourceError: if the anchor occurs behind several prefixes.
    """
    if anchor is None:
        return ""
    found = [
        name[: -len(anchor)] for name in names if name == anchor or name.endswith(f".{anchor}")
    ]
    if len(found) > 1 and "" not in found:
        raise SourceError(
            f"{path} holds the weights more than once, under {' and '.join(sorted(found)[:8])}: "
            "which of them to use cannot be known; save one of them as a file of its own"
        )
    return found[0] if len(found) == 1 else ""


def _selected(layout: Any, prefix: str, flat: dict[str, Any]) -> Any:
    """The part of a layout whose names have a prefix, without it."""
    if not isinstance(layout, dict):
        return layout.removeprefix(prefix) if layout.startswith(prefix) else None
    pairs = ((key, _selected(child, prefix, flat)) for key, child in layout.items())
    return {key: child for key, child in pairs if child not in (None, {})}


def _open_torch(
    file: MappedFile, part: str | None, optional: bool, ignore: set[str], anchor: str | None = None
) -> Tensors:
    """The arrays of a PyTorch file; `ignore` names values that are not arrays."""
    check_kind(file)
    entries = zips.entries(file)
    folders = [name[: -len("data.pkl")] for name in entries if name.endswith("data.pkl")]
    folders = [folder for folder in folders if folder.count("/") == 1 and folder.endswith("/")]
    if len(folders) != 1:
        raise SourceError(f"{file.path}: a zip file, but not one that torch.save wrote")
    folder = folders[0]
    if f"{folder}constants.pkl" in entries:
        raise SourceError(
            f"{file.path}: a TorchScript program, not weights; torch.save(model.state_dict(), ...) "
            "writes weights"
        )
    byteorder = entries.get(f"{folder}byteorder")
    if byteorder is not None:
        order = bytes(file.view(zips.locate(file, byteorder), min(byteorder.file_size, 16)))
        if order.strip() != b"little":
            raise SourceError(f"{file.path}: byte order {order!r}; only little-endian files load")
    entry = entries[f"{folder}data.pkl"]
    if entry.file_size > pickles.MAX_BYTES:
        raise SourceError(
            f"{file.path}: a pickle of {entry.file_size:,} bytes; {pickles.MAX_BYTES:,} at most"
        )
    try:
        value = pickles.parse(file.view(zips.locate(file, entry), entry.file_size))
    except PickleError as error:
        raise SourceError(f"{file.path}: {error}") from error
    chosen = _choose_part(value, part, optional, file.path, anchor is not None)
    flat, layout = _flatten(chosen, file.path)
    prefix = chosen_prefix(flat, anchor, file.path)
    if chosen is value and f"{prefix}{anchor}" not in flat:
        _choose_part(value, part, optional, file.path)  # raises, unless the whole file will do
    left: tuple[str, ...] = ()
    if prefix:
        left = tuple(dict.fromkeys(n.split(".")[0] for n in flat if not n.startswith(prefix)))
        layout = _selected(layout, prefix, flat)
        flat = {n.removeprefix(prefix): leaf for n, leaf in flat.items() if n.startswith(prefix)}
    problems, passed, starts = [], [], {}
    arrays: dict[str, Tensor] = {}
    for name, leaf in flat.items():
        if not isinstance(leaf, StoredTensor):
            if passed_over(name, tuple(ignore)):
                passed.append(name)
            else:
                problems.append(_refusal(name, leaf))
            continue
        key = leaf.storage.key
        if key not in starts:
            starts[key] = _storage_start(file, entries, folder, leaf.storage)
        arrays[name] = TorchTensor(file, starts[key], leaf)
    if problems:
        raise SourceError(f"{file.path}: " + "; ".join(problems[:20]))
    if chosen is value:
        tensors = Tensors(file, arrays, passed, layout, left)
    else:
        beside = [str(key) for key in value if key != part]
        tensors = Tensors(file, arrays, passed, {part: layout}, [*beside, *left])
    tensors.prefix = prefix
    return tensors


def check_kind(file: MappedFile) -> None:
    """Raises an error for files that are not in PyTorch's zip format, with a remedy."""
    head = bytes(file.view(0, min(file.size, 512)))
    if head.startswith(b"PK\x03\x04"):
        return
    path = file.path.as_posix()
    convert = (
        "convert it once where PyTorch is installed, and put the new file in its place: python -c "
        "\"import sys, torch; torch.save(torch.load(sys.argv[1], map_location='cpu', "
        f'weights_only=True), sys.argv[2])" {shlex.join((path, path + ".new"))}'
    )
    if head.startswith(_LEGACY):
        raise SourceError(f"{file.path}: PyTorch's format from before version 1.6; {convert}")
    if head[257:262] == b"ustar":
        raise SourceError(f"{file.path}: a tar file, PyTorch's oldest format; {convert}")
    if head.startswith(b"version https://git-lfs"):
        raise SourceError(f"{file.path}: a Git LFS pointer, not the file itself: run git lfs pull")
    if head.startswith(b"\x80") and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise SourceError(f"{file.path}: a bare pickle, which is never executed; {convert}")
    raise SourceError(
        f"{file.path}: neither PyTorch's zip format nor .safetensors (it begins with {head[:8]!r})"
    )


def _choose_part(
    value: Any, part: str | None, optional: bool, path: Path, anchored: bool = False
) -> Any:
    if part is None:
        return value
    if isinstance(value, dict) and isinstance(value.get(part), dict):
        return value[part]
    if optional or (isinstance(value, dict) and anchored):
        return value
    held = (
        ", ".join(f"{key!s:.80}" for key in list(value)[:8])
        if isinstance(value, dict)
        else "not a dictionary"
    )
    raise SourceError(f"{path}: expected weights under the key {part!r}; the file holds {held}")


def _flatten(value: Any, path: Path) -> tuple[dict[str, Any], Any]:
    """Leaves of nested dictionaries by dotted name, and the same nesting with names as leaves.

    A value that is not a dictionary is named `BARE`.
    """
    if not isinstance(value, dict):
        return {BARE: value}, BARE
    flat: dict[str, Any] = {}
    visited = 0

    def walk(node: dict[Any, Any], prefix: str, depth: int) -> dict[Any, Any]:
        nonlocal visited
        visited += 1  # one dictionary may be referenced from many places
        if depth > MAX_DEPTH or visited > MAX_NAMES:
            raise SourceError(f"{path}: nested too deeply, or too many dictionaries")
        named = all(isinstance(key, str) and key.startswith("module.") for key in node)
        layout: dict[Any, Any] = {}
        for key, child in node.items():
            if type(key) not in (str, int):
                raise SourceError(f"{path}: under {prefix or 'the top'}: a key that is not text")
            name = f"{prefix}{key.removeprefix('module.') if named else key}"
            if isinstance(child, dict):
                layout[key] = walk(child, f"{name}.", depth + 1)
                continue
            if name in flat:
                raise SourceError(f"{path}: {name!r:.80} occurs twice")
            if len(flat) >= MAX_NAMES or len(name) > 1000:
                raise SourceError(f"{path}: too many names, or too long ones, for weights")
            flat[name] = child
            layout[key] = name
        return layout

    return flat, walk(value, "", 0)


def _refusal(name: str, leaf: Any) -> str:
    if isinstance(leaf, Inert | Name):
        what = leaf.what if isinstance(leaf, Inert) else leaf.path
        return f"refused, {name!r:.80} is {what:.120}, not an array (none of it was executed)"
    kind = "storage" if isinstance(leaf, Storage) else type(leaf).__name__
    return f"{name!r:.80} is not an array but {kind}"


def _storage_start(
    file: MappedFile, entries: Mapping[str, zipfile.ZipInfo], folder: str, storage: Storage
) -> int:
    """Offset of a storage's numbers, after checking that all are present."""
    entry = entries.get(f"{folder}data/{storage.key}")
    if entry is None:
        raise SourceError(f"{file.path}: data/{storage.key:.40} is not in the archive")
    expected = storage.count * storage.dtype.itemsize
    if entry.file_size != expected:
        raise SourceError(
            f"{file.path}: data/{storage.key} has {entry.file_size:,} bytes, expected {expected:,}"
        )
    return zips.locate(file, entry)
