"""Seconds by stage, and a place for a progress bar to look."""

import contextlib
import time
from collections.abc import Callable, Iterator

StageCallback = Callable[[str], None]


class Clock:
    """Adds up the seconds of named stages; tells `on_stage` the name of a stage as it begins."""

    def __init__(self, on_stage: StageCallback | None = None):
        self.seconds: dict[str, float] = {}
        self.label = ""  # what `on_stage` is told besides, for instance which of several segments
        self._on_stage = on_stage

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times what runs inside; the caller waits for the device there."""
        if self._on_stage is not None:
            self._on_stage(name + self.label)
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
