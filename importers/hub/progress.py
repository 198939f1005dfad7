"""Progress of a download: a bar for all files and one for the current file."""

import contextlib
import sys
from collections.abc import Iterator

from tqdm import tqdm


class Progress:
    """Counts bytes; shows nothing without a terminal."""

    def __init__(self, total: int, done: int = 0):
        self.all = self._bar("all files", total, done, 1)
        self.file: tqdm | None = None

    @staticmethod
    def _bar(title: str, total: int | None, done: int, line: int) -> tqdm:
        return tqdm(
            total=total,
            initial=done,
            desc=title,
            unit="B",
            unit_scale=True,
            unit_divisor=1000,
            position=line,
            file=sys.stderr,
            leave=False,
            disable=None,
        )

    @contextlib.contextmanager
    def of(self, name: str, total: int | None, done: int) -> Iterator[None]:
        """Starts the bar of a file."""
        self.file = self._bar(name, total, done, 0)
        try:
            yield
        finally:
            self.file.close()
            self.file = None

    def step(self, count: int) -> None:
        """Counts downloaded bytes; a negative number is bytes to download again."""
        self.all.update(count)
        if self.file is not None:
            self.file.update(count)

    def note(self, doing: str) -> None:
        """Shows what is being done with the downloaded file."""
        if self.file is not None:
            self.file.set_postfix_str(doing)

    def close(self) -> None:
        """Removes the bars from the screen."""
        self.all.close()
