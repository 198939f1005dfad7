"""Golden directories: recorded arrays by file, prompts, and dumps of the same form."""

import functools
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from indextts_jax.errors import InputError

Arrays = dict[str, Any]  # arrays of one file by name, on the host or on a device


class Golden:
    """Recorded arrays: `golden["w2v", "hidden_17"]`, files `golden.speaker`, `golden.emotion`.

    Raises:
        InputError: for a directory, a file or an array that is not there, by name.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not (self.path / "tensors").is_dir():
            raise InputError(
                f"{self.path} is no golden directory: it needs tensors/*.npz, speaker.wav, "
                "emotion.wav"
            )
        self.speaker = self._present("speaker.wav")
        self.emotion = self._present("emotion.wav")

    def _present(self, name: str) -> Path:
        if not (self.path / name).is_file():
            raise InputError(f"{self.path / name} is missing from the golden directory")
        return self.path / name

    @functools.cache  # noqa: B019 (one object lives as long as the process)
    def arrays(self, file: str) -> dict[str, np.ndarray]:
        """Every array of one file.

        Raises:
            InputError: if the file is missing or damaged.
        """
        path = self._present(f"tensors/{file}.npz")
        try:
            with np.load(path, allow_pickle=False) as data:
                return {name: data[name] for name in data.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path} cannot be read: {error}") from error

    def __getitem__(self, key: tuple[str, str]) -> np.ndarray:
        file, name = key
        if name not in self.arrays(file):
            raise InputError(f"{self.path / 'tensors' / file}.npz has no array {name}")
        return self.arrays(file)[name]

    def settings(self, file: str, name: str) -> dict[str, Any]:
        """Recorded settings, which are stored as JSON."""
        return json.loads(str(self[file, name]))


def number(text: str) -> float:
    """A number as the array names write it: `0_7` is 0.7, `25` is 25."""
    return float(text.replace("_", "."))


def named(pattern: str, names: Any) -> dict[str, re.Match[str]]:
    """The names that a pattern matches whole, with their matches."""
    found = {name: re.fullmatch(pattern, name) for name in names}
    return {name: match for name, match in found.items() if match}


def write_dump(folder: Path, file: str, arrays: dict[str, np.ndarray]) -> None:
    """Writes our arrays as one file of a golden directory, in one step."""
    target = folder / "tensors" / f"{file}.npz"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    try:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type] # names, not options
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
