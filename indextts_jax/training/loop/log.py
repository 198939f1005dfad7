"""`metrics.jsonl`: one line for each logged step and each evaluation."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import Failure
from indextts_jax.utils.atomic import write_whole

FILE = "metrics.jsonl"


def tidy(value: Any) -> Any:
    """A number for JSON: a string if it is not finite."""
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: tidy(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(inner) for inner in value]
    number = float(value)
    return number if math.isfinite(number) else str(number)


def read(folder: Path) -> list[dict[str, Any]]:
    """All lines; incomplete ones of a killed process are skipped."""
    path = folder / FILE
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Log:
    """Appends to the log of a run.

    Lines after `step` are removed, because a run that resumes there logs them again.
    """

    def __init__(self, folder: Path, step: int, listeners: tuple[Any, ...] = ()):
        self._path, self._listeners = folder / FILE, listeners
        kept = [line for line in read(folder) if line.get("step", 0) <= step]
        self._write(lambda: write_whole(self._path, "".join(map(_line, kept)).encode()))

    def add(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Writes a line: `kind` is "train", "evaluation", "skipped" or "saved".

        Raises:
            Failure: if it cannot be written.
        """
        line = {"kind": kind, "step": step, **tidy(values)}
        for listener in self._listeners:
            listener(line)

        def append() -> None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(line))

        self._write(append)

    def _write(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            raise Failure(f"cannot write {self._path}: {error.strerror or error}") from error


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
