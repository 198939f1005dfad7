"""An open recording: its samples in blocks, to the end of the file, whatever its header states."""

import bisect
import contextlib
import io
import itertools
import math
import mmap
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float32

from indextts_jax.audio import codecs
from indextts_jax.audio.streams import Bytes, Link, find_links
from indextts_jax.errors import InputError

BLOCK = 2**20  # numbers decoded at once
_ENDLESS = 2**62  # frames of a file whose length is unknown: libsndfile states its largest number
_quiet = threading.RLock()


class Recording:
    """A recording in a file, read once from front to back.

    `notes` are clauses about what cannot be used of it, complete when the samples have been read;
    where sound is lost they begin with `CUT_OFF`.
    """

    def __init__(self, path: Path, links: Sequence[Link], notes: Sequence[str]):
        self.path, self._links = path, links
        self.notes = list(notes)
        self._files = [_Sequential(_Pieces(link.pieces)) for link in links]
        self.sample_rate: int = self._files[0].samplerate
        self.channels: int = self._files[0].channels
        kinds = [(file.samplerate, file.channels) for file in self._files]
        if other := next((kind for kind in kinds if kind != kinds[0]), None):
            raise InputError(
                f"{path} consists of recordings of different kinds, joined together ({kinds[0][0]} "
                f"Hz with {kinds[0][1]} channels, then {other[0]} Hz with {other[1]}): split it"
            )
        for link in links:
            if link.stated is not None and link.held is not None:
                stated, held = f"{link.stated:.2f}", f"{link.held:.2f}"
                self.notes.append(
                    f"it is cut off: its header states {stated} s, the file holds {held} s"
                    if link.held < link.stated
                    else f"all of it is used, but its header states {stated} s, the file holds "
                    f"{held} s"
                )

    def blocks(self, start: float = 0.0) -> Iterator[Float32[np.ndarray, "n c"]]:
        """The samples from second `start` on."""
        skip = round(start * self.sample_rate)
        for link, file in zip(self._links, self._files, strict=True):
            known = None if link.unknown or file.frames >= _ENDLESS else file.frames
            if known is not None and skip >= known:
                skip -= known
                continue
            if skip and known is not None:
                file.seek(skip)
                skip, read = 0, skip
            else:
                read = 0
            for block in self._of(file, link, known, read):
                if skip >= len(block):
                    skip -= len(block)
                    continue
                yield block[skip:]
                skip = 0

    def _of(
        self, file: "_Sequential", link: Link, known: int | None, read: int
    ) -> Iterator[Float32[np.ndarray, "n c"]]:
        """The samples of one file; what cannot be decoded ends it, and is noted."""
        size, error = max(BLOCK // self.channels, 1), ""
        if file.format in _BY_FRAMES:
            size = min(size, 4096)  # an error loses what was decoded in the same call
        while known is None or read < known:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as failure:
                error = str(getattr(failure, "error_string", failure))
                break
            if not len(block):
                break
            read += len(block)
            yield block
        rate = self.sample_rate
        if not read:
            if error:
                raise InputError(f"{self.path} is not audio that can be read: {error}")
            return
        if known is None and not link.unknown and not error:
            return
        if link.stated is None and (error or (known is not None and read < known)):
            stated = f"header states {known / rate:.2f} s" if known else "end is missing"
            held = math.floor(100 * read / rate) / 100
            self.notes.append(f"it is cut off or damaged: its {stated}, {held:.2f} s can be read")

    def close(self) -> None:
        for file in self._files:
            file.close()


_BY_FRAMES = ("FLAC", "OGG", "MPEG", "MP3")


@contextlib.contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator["Recording | codecs.Decoded"]:
    """A recording in any format that can be read: a file, or the `content` of one.

    With `content`, `path` only names the recording in messages.

    Raises:
        InputError: if it cannot be read as audio; while its samples are read, too.
    """
    if content is None and path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file: expected a recording (WAV, FLAC, OGG or MP3)")
    with contextlib.ExitStack() as stack:
        held = _mapped(path, stack) if content is None else content
        if not held:
            raise InputError(f"{path} is not audio that can be read: it is empty")
        if (kind := codecs.kind_of(held[:4096])) is not None:
            if isinstance(held, bytes):  # the decoders seek in files
                file = stack.enter_context(tempfile.NamedTemporaryFile())
                file.write(held)
                file.flush()
                yield stack.enter_context(codecs.decoded(path, kind, Path(file.name)))
                return
            held.close()
            yield stack.enter_context(codecs.decoded(path, kind))
            return
        data = memoryview(held)
        with _silent_decoder(bytes(data[:3])):
            try:
                links, notes = find_links(data)
                recording = Recording(path, links, notes)
                try:
                    yield recording
                finally:
                    recording.close()
            except soundfile.SoundFileError as error:
                reason = getattr(error, "error_string", error)
                raise InputError(
                    f"{path} is not audio that can be read (WAV, FLAC, OGG or MP3): {reason}"
                ) from error


def _mapped(path: Path, stack: contextlib.ExitStack) -> mmap.mmap | bytes:
    """The content of a file, of which only what is read takes memory."""
    try:
        file = stack.enter_context(path.open("rb"))
        if not os.fstat(file.fileno()).st_size:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


@contextlib.contextmanager
def _silent_decoder(head: bytes) -> Iterator[None]:
    """Keeps the notes of the MP3 decoder, a C library, off standard error."""
    if head != b"ID3" and head[:1] != b"\xff":
        yield
        return
    with _quiet:
        try:
            usual = os.dup(2)
        except OSError:  # closed
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(usual, 2)
            os.close(usual)


class _Sequential(soundfile.SoundFile):
    """A file that is read without seeking in between: a seek changes what MP3 decodes to, and
    fails in FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class _Pieces(io.RawIOBase):
    """Pieces of bytes as one file; without a name, as soundfile would go by its ending."""

    def __init__(self, pieces: Sequence[Bytes]):
        self._views = [memoryview(piece) for piece in pieces]
        self._ends = list(itertools.accumulate(map(len, self._views)))
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._ends[-1]}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        done = 0
        number = bisect.bisect_right(self._ends, self._place)
        while done < len(target) and number < len(self._views):
            inner = self._place - (self._ends[number] - len(self._views[number]))
            part = self._views[number][inner : inner + len(target) - done]
            target[done : done + len(part)] = part
            done, self._place = done + len(part), self._place + len(part)
            number += self._place >= self._ends[number]
        return done
