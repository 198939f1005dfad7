"""The directory of a data set: results of packs, each committed once.

    plan.json, packs.parquet, same.parquet    what is to be done; written once
    data/audio-00042-3f9c21ab.parquet (.tar)  the recordings of a pack
    data/rows-00042-3f9c21ab.parquet          a row of results for each row of the pack
    done/00042.json                           the marker: names and SHA-256 of both, and counts
    tmp/                                      what is being written

A pack is done if, and only if, it has a marker. Markers are created exclusively: of two processes
that finish a pack, the second one finds the marker and removes its own files. So the data files
have names of their own, and only those that a marker names belong to the set.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import Failure, InputError
from indextts_jax.utils.hashing import FileHash, hash_file
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

DIGITS = 5  # of a pack's number, at least
DATA, DONE, TEMPORARY = "data", "done", "tmp"
AUDIO, ROWS = "audio", "rows"
SUMMARY = ("pack", "counts", "audio", "compute", "finished")  # fields of a marker


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marker:
    """The record of a finished pack."""

    pack: int
    files: tuple[FileHash, ...]  # audio and rows, below `data`
    counts: Mapping[str, int]  # rows by status
    audio: float  # seconds of audio
    compute: float  # seconds of work
    worker: str
    started: str  # UTC, ISO 8601
    finished: float  # Unix time
    batch: int

    def file(self, kind: str) -> FileHash:
        """The file of audio, or that of rows."""
        return next(one for one in self.files if one.name.startswith(f"{kind}-"))


def _damaged(path: str | Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged: remove it, and run makes the pack again ({error!s:.80})")


@dataclasses.dataclass(frozen=True)
class Output:
    """The directory of a data set."""

    path: Path

    def prepare(self) -> None:
        """Creates the directories.

        Raises:
            InputError: if they cannot be written.
        """
        try:
            for name in (DATA, DONE, TEMPORARY):
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}") from error

    def marker_path(self, pack: int) -> Path:
        """The marker of a pack."""
        return self.path / DONE / f"{pack:0{DIGITS}}.json"

    def is_done(self, pack: int) -> bool:
        """Whether a pack has its marker."""
        return self.marker_path(pack).exists()

    def done(self) -> set[int]:
        """Numbers of the packs that have a marker."""
        try:
            names = os.listdir(self.path / DONE)
        except FileNotFoundError:
            return set()
        return {int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()}

    def markers(self) -> Iterator[Marker]:
        """The markers in the order of their packs.

        Raises:
            InputError: for a damaged one.
        """
        for pack in sorted(self.done()):
            yield self.marker(pack)

    def marker(self, pack: int) -> Marker:
        """The marker of a finished pack.

        Raises:
            InputError: if it is damaged.
        """
        path = self.marker_path(pack)
        try:
            data = json.loads(path.read_bytes())
            return Marker(
                **{
                    **data,
                    "files": tuple(from_data(FileHash, one) for one in data["files"]),
                    "counts": {str(name): int(n) for name, n in data["counts"].items()},
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise _damaged(path, error) from error

    def summaries(self, packs: Iterable[int]) -> Iterator[dict[str, Any]]:
        """What a driver counts of finished packs; small, as it may cross a cluster.

        Markers are read without the checks of `marker`: a large set has a hundred thousand.

        Raises:
            InputError: if one is damaged.
        """
        folder = os.path.join(self.path, DONE)
        for pack in packs:
            path = f"{folder}/{pack:0{DIGITS}}.json"
            try:
                with open(path, "rb", buffering=0) as file:
                    data = json.loads(file.read())
                yield {name: data[name] for name in SUMMARY}
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(path, error) from error

    def file(self, record: FileHash) -> Path:
        """A data file that a marker names."""
        return self.path / DATA / record.name

    @contextlib.contextmanager
    def attempt(self, pack: int, token: str) -> Iterator["Attempt"]:
        """A directory for one attempt at a pack, removed afterwards.

        Raises:
            Failure: for what the system refuses in it, such as space on a full disk.
        """
        folder = self.path / TEMPORARY / f"{pack:0{DIGITS}}-{token}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            yield Attempt(self, pack, folder)
        except OSError as error:
            raise Failure(
                f"pack {pack} cannot be written to {self.path}: {error.strerror or error}"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_attempts(self, token: str | None = None) -> None:
        """Removes what a killed worker left, or without a token what all have left."""
        for folder in (self.path / TEMPORARY).glob("*" if token is None else f"*-{token}"):
            shutil.rmtree(folder, ignore_errors=True)

    def orphans(self) -> list[Path]:
        """Data files that no marker names: of processes killed between writing and commit."""
        known = {one.name for marker in self.markers() for one in marker.files}
        return sorted(p for p in (self.path / DATA).iterdir() if p.name not in known)


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt at a pack."""

    output: Output
    pack: int
    folder: Path

    def commit(self, files: Mapping[str, Path], **about: Any) -> bool:
        """Moves finished files into the set and creates the marker; False if another was first.

        `files` are below `folder`, by kind (audio, rows). The marker comes last, after everything
        it names is on disk.
        """
        moved: list[Path] = []
        token = secrets.token_hex(4)
        try:
            records = []
            for kind, path in files.items():
                name = f"{kind}-{self.pack:0{DIGITS}}-{token}{path.suffix}"
                _sync(path)
                records.append(hash_file(path, name))
                target = self.output.path / DATA / name
                path.rename(target)
                moved.append(target)
            _sync(self.output.path / DATA)
            marker = Marker(pack=self.pack, files=tuple(records), **about)
            if self._create(self.output.marker_path(self.pack), to_data(marker)):
                moved.clear()
                return True
            return False
        finally:
            for target in moved:
                target.unlink(missing_ok=True)

    def _create(self, path: Path, data: object) -> bool:
        """Creates a whole file exclusively; False if it exists."""
        written = self.folder / path.name
        written.write_text(json.dumps(data) + "\n", "utf-8")
        _sync(written)
        try:
            os.link(written, path)  # atomic, with its content, and never replaces
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(json.dumps(data) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            except FileExistsError:
                return False
        _sync(path.parent)
        return True


def _sync(path: Path) -> None:
    """Waits until a file, or the entries of a directory, are on disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open directories
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems refuse it for directories
            raise
    finally:
        os.close(descriptor)
