"""How far a download is: a bar for all files and one for the file on its way."""

import contextlib
import sys
from collections.abc import Iterator

from tqdm import tqdm


class Progress:
    """Counts bytes; where nobody watches, nothing is shown."""

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
        """Shows one file."""
        self.file = self._bar(name, total, done, 0)
        try:
            yield
        finally:
            self.file.close()
            self.file = None

    def step(self, count: int) -> None:
        """Counts bytes that came, or, below zero, that have to come again."""
        self.all.update(count)
        if self.file is not None:
            self.file.update(count)

    def note(self, doing: str) -> None:
        """Says what is done with the file, now that it is here."""
        if self.file is not None:
            self.file.set_postfix_str(doing)

    def close(self) -> None:
        """Takes the bars off the screen."""
        self.all.close()
