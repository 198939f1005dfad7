"""A time by which a run must end, and which packs may still begin before it."""

import threading
import time

SKIPPED = "skipped"  # in place of a summary: the pack was not begun
MARGIN = 1.1  # of the expected time of a pack


class Deadline:
    """The end of a run, in Unix time; None for none. Shared by threads."""

    def __init__(self, at: float | None):
        self.at = at
        self.lock = threading.Lock()
        self.estimated = self.spent = 0.0

    def allows(self, seconds: float) -> bool:
        """Whether a pack of this estimated audio would be finished in time.

        Until the first pack is finished, it is not known how long one takes: then it may begin.
        """
        if self.at is None:
            return True
        with self.lock:
            pace = self.spent / self.estimated if self.estimated else 0.0
        return time.time() + MARGIN * pace * seconds < self.at

    def note(self, seconds: float, spent: float) -> None:
        """Notes how long a pack took."""
        with self.lock:
            self.estimated += seconds
            self.spent += spent

    def passed(self) -> bool:
        """Whether the time has come."""
        return self.at is not None and time.time() >= self.at
