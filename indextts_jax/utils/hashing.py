"""SHA-256 of files, directories, arrays and plain data; versions of packages."""

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


def digest(data: object) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileHash:
    """A file by its name, with its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A package and its version."""

    package: str
    version: str


def versions() -> tuple[Version, ...]:
    """This program's version and those of the packages that a checkpoint depends on."""
    packages = ("indextts-jax", "jax", "flax", "orbax-checkpoint", "numpy")

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"  # a source tree that is not installed

    return tuple(Version(package=name, version=version(name)) for name in packages)


def now() -> str:
    """The current time in UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def hash_file(path: Path, name: str | None = None) -> FileHash:
    """A file's size and SHA-256; `name` is its name in the record."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        size = os.fstat(file.fileno()).st_size
    return FileHash(name=path.name if name is None else name, size=size, sha256=digest.hexdigest())


def hash_folder(folder: Path) -> tuple[FileHash, ...]:
    """The hash of every file in a directory, by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(hash_file(path, path.relative_to(folder).as_posix()) for path in paths)


def hash_arrays(params: Mapping[Any, Any]) -> str:
    """SHA-256 of a tree of arrays: their paths, dtypes, shapes and values."""
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
    """Files that are missing or differ from their records; without `hashes`, compared by size."""
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
