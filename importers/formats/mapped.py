"""Memory-mapped files with bounds checks and a count of the bytes read."""

import mmap
import os
import stat
from pathlib import Path

from indextts_jax.errors import InputError


class SourceError(InputError):
    """A published file cannot be read; the message names it, the problem and the remedy."""


class MappedFile:
    """A file's bytes, read only when touched.

    `bytes_read` counts the bytes requested, whether or not the system had to fetch them.
    """

    def __init__(self, path: Path):
        self.path = path
        self.bytes_read = 0
        # Opened non-blocking, so that a named pipe gives an error instead of hanging.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{path}: not a file")
            self.size = status.st_size
            if not self.size:
                raise SourceError(f"{path}: the file is empty")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._view = memoryview(self._map)

    def view(self, offset: int, size: int) -> memoryview:
        """The bytes from `offset` on, without a copy.

        Raises:
            SourceError: if they are not all within the file.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise SourceError(
                f"{self.path}: {size:,} bytes expected at {offset:,}, but the file has "
                f"{self.size:,} (is it cut off?)"
            )
        self.bytes_read += size
        return self._view[offset : offset + size]

    def release(self) -> None:
        """Lets the system drop the pages read so far; they are fetched again on the next read."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
