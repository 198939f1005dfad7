"""Where a checkpoint comes from: sources, versions, and the hash of every file in it."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indextts_jax.config import DTYPES, ConfigError, from_data, to_data
from indextts_jax.errors import InputError

FORMAT = 1  # of the checkpoint directory; a program reads its own and older ones
FILE = "provenance.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileHash:
    """A file by its name, with its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ComponentRecord:
    """One component as it was saved."""

    name: str
    parameters: int  # numbers in its arrays
    bytes: int  # of its arrays
    files: tuple[FileHash, ...]
    digest: str = ""  # SHA-256 of its arrays, however they lie in files; older programs kept none


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A package and its version."""

    package: str
    version: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """All that a checkpoint says about itself."""

    format: int
    created: str  # UTC, ISO 8601
    dtype: str  # of the stored weights; stored tables are float32
    sources: tuple[FileHash, ...]  # published files, by their paths below the source folder
    ignored: tuple[str, ...]  # names passed over by --ignore
    versions: tuple[Version, ...]
    files: tuple[FileHash, ...]  # configuration and tokenizer
    components: tuple[ComponentRecord, ...]

    def fingerprint(self, names: Iterable[str]) -> str:
        """A hash of the arrays of some components: equal weights, equal fingerprint.

        Raises:
            InputError: for a checkpoint that does not know them.
        """
        digests = {record.name: record.digest for record in self.components if record.digest}
        wanted = sorted(names)
        if unknown := [name for name in wanted if name not in digests]:
            raise InputError(
                f"the checkpoint keeps no digest of {', '.join(unknown)}: import the model again"
            )
        text = json.dumps([[name, digests[name]] for name in wanted])
        return hashlib.sha256(text.encode()).hexdigest()


def versions() -> tuple[Version, ...]:
    """This program's version and those of the packages that a checkpoint depends on."""
    packages = ("indextts-jax", "jax", "flax", "orbax-checkpoint", "numpy")

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"  # run from a source tree that was never installed

    return tuple(Version(package=name, version=version(name)) for name in packages)


def now() -> str:
    """The time, as a checkpoint records it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def hash_file(path: Path, name: str | None = None) -> FileHash:
    """A file's size and SHA-256; `name` is what it is called in the record."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        size = os.fstat(file.fileno()).st_size
    return FileHash(name=path.name if name is None else name, size=size, sha256=digest.hexdigest())


def hash_folder(folder: Path) -> tuple[FileHash, ...]:
    """The hash of every file below a folder, by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(hash_file(path, path.relative_to(folder).as_posix()) for path in paths)


def hash_arrays(params: Mapping[Any, Any]) -> str:
    """SHA-256 of a tree of arrays: their paths, dtypes, shapes and numbers."""
    digest = hashlib.sha256()

    def add(tree: Mapping[Any, Any], path: str) -> None:
        for key in sorted(tree, key=str):
            value, place = tree[key], f"{path}.{key}"
            if isinstance(value, Mapping):
                add(value, place)
                continue
            array = np.ascontiguousarray(value)
            digest.update(f"{place} {array.dtype.name} {array.shape}\n".encode())
            digest.update(array.reshape(-1).view(np.uint8).data)

    add(params, "")
    return digest.hexdigest()


def differences(folder: Path, records: Iterable[FileHash], *, hashes: bool = True) -> list[str]:
    """What is missing, or is not as recorded, below a folder; without `hashes`, by size alone."""
    problems = []
    for record in records:
        path = folder / record.name
        if not path.is_file():
            problems.append(f"missing: {path}")
        elif (size := path.stat().st_size) != record.size:
            problems.append(f"size of {path}: {size:,} bytes, recorded {record.size:,}")
        elif hashes and hash_file(path).sha256 != record.sha256:
            problems.append(f"damaged: {path} (its SHA-256 is not the recorded one)")
    return problems


def write(folder: Path, record: Provenance) -> None:
    """Writes the record into a checkpoint's folder."""
    text = json.dumps(to_data(record), indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Provenance:
    """The record in a checkpoint's folder.

    Raises:
        InputError: if it is damaged, or of a newer program than this one.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error!s:.120}") from error
    found = data.get("format") if isinstance(data, dict) else None
    if type(found) is not int:
        raise InputError(f"{path} is damaged: it names no format")
    if found > FORMAT:
        raise InputError(
            f"{folder} is a checkpoint of format {found}, from a newer program; this one reads "
            f"up to format {FORMAT}: upgrade indextts-jax, or import the model again"
        )
    try:
        record = from_data(Provenance, data)
    except ConfigError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if record.dtype not in DTYPES:
        raise InputError(f"{path} is damaged: unknown dtype {record.dtype!r:.40}")
    return record
