"""Seconds by stage, with a callback for progress bars."""

import contextlib
import time
from collections.abc import Callable, Iterator

StageCallback = Callable[[str], None]


class Clock:
    """Adds up the seconds of named stages; calls `on_stage` with the name of each as it begins."""

    def __init__(self, on_stage: StageCallback | None = None):
        self.seconds: dict[str, float] = {}
        self.label = ""  # suffix of the name passed to `on_stage`, for example ` 2/5`
        self._on_stage = on_stage

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block; the caller must wait for the device inside it."""
        if self._on_stage is not None:
            self._on_stage(name + self.label)
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
