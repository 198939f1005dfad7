"""Finished segments on disk, so that a long job that was stopped can continue.

    store = SegmentStore.open(directory, key_of(recipe))
    for index, part in store.parts().items(): ...
    store.write(index, part)      # as soon as it is finished
    store.remove()                # when the whole is written

A store is a directory with our mark. It holds the segments of one key, which is a hash of all that
the samples depend on.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from indextts_jax.engine.parts import Part
from indextts_jax.engine.recipe import Recipe, to_comment
from indextts_jax.engine.speech import Segment
from indextts_jax.errors import Failure, InputError
from indextts_jax.timings.words import Word
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.hashing import digest, hash_arrays
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

MARK = "segments_of_indextts_jax"
_KEY = "indextts_jax_segment"
_NAME = re.compile(r"([0-9]{6,})\.safetensors")
_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.partial")


def folder_of(output: Path) -> Path:
    """The directory of an output's segments, beside it."""
    return output.parent / f".{output.name}.segments"


def key_of(recipe: Recipe, *, timings: bool = False) -> str:
    """A hash of all that the samples of a request depend on, and whether its words have times."""
    return digest(
        to_comment(dataclasses.replace(recipe, created="", samples="")) + " timed" * timings
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Record:
    """What is known of a segment, apart from its samples."""

    segment: Segment
    seconds: dict[str, float]
    sha256: str  # of the samples
    words: tuple[Word, ...] | None = None


@dataclasses.dataclass(frozen=True)
class SegmentStore:
    """The finished segments of one request."""

    folder: Path
    key: str

    @classmethod
    def open(cls, folder: Path, key: str) -> "SegmentStore":
        """The store of a key; segments of another key are removed.

        Raises:
            InputError: if something else has the name of the directory, or it cannot be written.
        """
        mark = folder / MARK
        if os.path.lexists(folder) and (folder.is_symlink() or not mark.is_file()):
            raise InputError(
                f"{folder} is needed for finished segments, but was not made by this program: move "
                "it away"
            )
        store = cls(folder, key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not store.belongs():
                for path in store._files():
                    path.unlink()
                write_whole(mark, key.encode())
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error
        return store

    def belongs(self) -> bool:
        """Whether the directory holds segments of this key."""
        mark = self.folder / MARK
        return mark.is_file() and mark.read_text("utf-8", "replace") == self.key

    def _files(self) -> list[Path]:
        """The segments, and what a killed process left."""
        return [
            path
            for path in self.folder.iterdir()
            if (_NAME.fullmatch(path.name) or _PARTIAL.fullmatch(path.name))
            and not path.is_symlink()
        ]

    def parts(self) -> dict[int, Part]:
        """The finished parts by index; one that is damaged is removed, and made again."""
        found = {}
        for path in self._files():
            match = _NAME.fullmatch(path.name)
            part = _read(path) if match else None
            if match and part is not None:
                found[int(match[1])] = part
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        return found

    def write(self, index: int, part: Part) -> None:
        """Writes a finished part.

        Raises:
            Failure: if it cannot be written.
        """
        arrays = {"samples": np.ascontiguousarray(part.samples, np.float32)}
        record = _Record(
            segment=part.segment,
            seconds=part.seconds,
            sha256=hash_arrays(arrays),
            words=part.words,
        )
        text = json.dumps({**to_data(record), "key": self.key})
        path = self.folder / f"{index:06}.safetensors"
        try:
            write_whole(path, safetensors.numpy.save(arrays, {_KEY: text}))
        except OSError as error:
            raise Failure(f"{path} cannot be written: {error.strerror or error}") from error

    def remove(self) -> None:
        """Removes the segments, and the directory if nothing else is in it."""
        for path in self._files():
            path.unlink(missing_ok=True)
        others = [path for path in self.folder.iterdir() if path.name != MARK]
        if not others:
            shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> Part | None:
    """A part from its file; None if it is damaged."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            data = json.loads((file.metadata() or {})[_KEY])
            samples = file.get_tensor("samples")
        data.pop("key")
        seconds = {str(name): float(spent) for name, spent in data.pop("seconds").items()}
        segment = from_data(Segment, data.pop("segment"))
        words = data.pop("words", None)
        if words is not None:
            words = tuple(from_data(Word, word) for word in words)
    except (
        safetensors.SafetensorError,
        OSError,
        ConfigError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
    ):
        return None
    whole = samples.dtype == np.float32 and samples.ndim == 1
    if not whole or hash_arrays({"samples": samples}) != data.get("sha256"):
        return None
    return Part(samples, segment, seconds, words)
