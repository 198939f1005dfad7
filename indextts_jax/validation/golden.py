"""Golden directories: recorded arrays by file, prompts, and dumps in the same format."""

import dataclasses
import functools
import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import write_whole

ABOUT = "about.json"
Arrays = dict[str, Any]  # arrays of one file by name, on the host or on a device


@dataclasses.dataclass(frozen=True)
class FileHash:
    """A file recorded in `about.json`; for a published file, with the stages that depend on it."""

    name: str
    size: int
    sha256: str
    stages: Sequence[str] = ()


class Golden:
    """Recorded arrays: `golden["w2v", "hidden_17"]`, files `golden.speaker`, `golden.emotion`.

    Raises:
        InputError: naming a directory, file or array that is missing.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not (self.path / "tensors").is_dir():
            raise InputError(
                f"{self.path} is not a golden directory: it needs tensors/*.npz, speaker.wav, "
                "emotion.wav"
            )
        self.speaker = self._present("speaker.wav")
        self.emotion = self._present("emotion.wav")

    @property
    def recorded(self) -> tuple[str, ...]:
        """Names of the recorded files of arrays."""
        return tuple(sorted(path.stem for path in self.path.glob("tensors/*.npz")))

    @functools.cached_property
    def version(self) -> str:
        """The version whose reference was recorded: its arrays say it."""
        marks = {"conditioning": "speaker_row", "codec": "decoded", "gpt": "lang_id"}
        marks |= {file: "lang_id" for file in self.recorded if file.startswith("end_to_end")}
        new = any(file in self.recorded and marks[file] in self.arrays(file) for file in marks)
        return "2.5" if new else "2.0"

    @functools.cached_property
    def about(self) -> dict[str, Any] | None:
        """How the directory was made, as recorded by `tools/dump_reference.py`, or None.

        Raises:
            InputError: if the record is damaged.
        """
        path = self.path / ABOUT
        if not path.is_file():
            return None
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            [FileHash(**file) for file in (*about["sources"], *about["files"])]
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged: {error!s:.120}") from error
        return about

    def check(self) -> None:
        """Reads and checks every file.

        Raises:
            InputError: if no stage is recorded, or if a file is damaged or does not belong to the
                others.
        """
        if not self.recorded:
            raise InputError(f"{self.path / 'tensors'} has no *.npz files: nothing was recorded")
        if self.about is not None:
            self._check_hashes([FileHash(**file) for file in self.about["files"]])
        for file in self.recorded:
            self.arrays(file)

    def _check_hashes(self, files: list[FileHash]) -> None:
        names = {file.name for file in files}
        for stage in self.recorded:
            if f"tensors/{stage}.npz" not in names:
                raise InputError(
                    f"{self.path}/tensors/{stage}.npz does not belong here: {ABOUT} does not name "
                    "it; record the directory again"
                )
        for file in files:
            path = self.path / file.name
            if path.is_file() and hashing.hash_file(path).sha256 != file.sha256:
                raise InputError(
                    f"{path} is damaged: its SHA-256 is not the one in {self.path / ABOUT}"
                )

    def _present(self, name: str) -> Path:
        if not (self.path / name).is_file():
            raise InputError(f"{self.path / name} is missing from the golden directory")
        return self.path / name

    @functools.cache  # noqa: B019 (one object lives as long as the process)
    def arrays(self, file: str) -> dict[str, np.ndarray]:
        """All arrays of one file.

        Raises:
            InputError: if the file is missing or damaged.
        """
        path = self._present(f"tensors/{file}.npz")
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
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
    """A number as written in array names: `0_7` is 0.7, `25` is 25."""
    return float(text.replace("_", "."))


def named(pattern: str, names: Any) -> dict[str, re.Match[str]]:
    """The names that a pattern matches fully, with their matches."""
    found = {name: re.fullmatch(pattern, name) for name in names}
    return {name: match for name, match in found.items() if match}


def write_dump(folder: Path, file: str, arrays: dict[str, np.ndarray]) -> None:
    """Writes our arrays as one file of a golden directory, atomically."""
    target = folder / "tensors" / f"{file}.npz"
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type] # names, not options
    write_whole(target, stream.getbuffer())
