"""A cache of measurements of clips, stored beside the prepared data."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from indextts_jax.errors import InputError
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FILE = "facts.jsonl"
T = TypeVar("T")


class Facts:
    """Small records by key in an append-only file; in memory only without a file."""

    def __init__(self, path: Path | None):
        self._path = path
        self._known: dict[str, Any] = {}
        self._new: list[str] = []
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._known[entry["key"]] = entry["value"]
                except (ValueError, KeyError, TypeError):
                    continue  # incomplete line of a killed process: measured again

    def get(self, kind: type[T], key: str, make: Callable[[], T]) -> T:
        """The record (a dataclass) of a key, computed if missing; thread-safe."""
        if key in self._known:
            try:
                return from_data(kind, self._known[key])
            except ConfigError:
                pass  # from another version
        made = make()
        self._known[key] = to_data(made)
        line = json.dumps({"key": key, "value": self._known[key]}, ensure_ascii=False)
        self._new.append(line)  # list.append is atomic
        return made

    def save(self) -> None:
        """Appends new records to the file.

        Raises:
            InputError: if it cannot be written.
        """
        if self._path is None or not self._new:
            return
        lines, self._new = self._new, []
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # a process was killed while writing
                        file.write(b"\n")
                file.write("".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}") from error
