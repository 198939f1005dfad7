"""Terminal output of the commands: progress bars, result lines and warnings."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from indextts_jax.errors import indented, lines, one_line

TICK = 0.5  # seconds between two updates of the clock
PATIENCE = 2.0  # seconds before a line, where stderr is not a terminal
EVERY = 30.0  # the same for a stage that was named before


@contextlib.contextmanager
def stage_bar(title: str) -> Iterator[Callable[[str], None]]:
    """A line with the running stage and the elapsed time; yields the callback that names a stage.

    A stage is one compiled program, which reports no progress: the clock shows that it is running.
    Where stderr is not a terminal, a stage that takes seconds prints a line, and one that was named
    before at most every `EVERY` seconds.
    """
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        if sys.stderr.isatty():
            bar = stack.enter_context(
                tqdm(
                    total=0,
                    desc=title,
                    bar_format="{desc}: {elapsed} {postfix}",
                    file=sys.stderr,
                    leave=False,
                )
            )
            refresh: Callable[[], object] = bar.refresh

            def show(stage: str) -> None:
                bar.set_postfix_str(one_line(stage))
        else:
            found = _StageLines(title)
            refresh, show = found.tick, found.show

        def tick() -> None:
            while not stop.wait(TICK):
                refresh()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield show
        finally:
            stop.set()
            thread.join()


class _StageLines:
    """A line for each stage that takes some time, for logs and pipes."""

    def __init__(self, title: str):
        self.title, self.start = title, time.monotonic()
        self.last = self.start  # when a line was printed
        self.stage = ""
        self.named: set[str] = set()

    def show(self, stage: str) -> None:
        """Names the running stage."""
        self.stage = stage

    def tick(self) -> None:
        """Prints a running stage: a new one after `PATIENCE` seconds, a known one after `EVERY`."""
        stage, now = self.stage, time.monotonic()
        name = stage.split(" ")[0]
        if not stage or now - self.last < (EVERY if name in self.named else PATIENCE):
            return
        self.named.add(name)
        self.last = now
        sys.stderr.write(f"{self.title}: {now - self.start:.0f} s, {one_line(stage)}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def count_bar(title: str, unit: str, **options: Any) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar for countable work; yields its callback, called with done, total, description.

    The bar appears with the first call, so that an earlier error is printed alone. `options` are
    tqdm's.
    """
    with contextlib.ExitStack() as stack:
        bar: tqdm | None = None

        def show(done: int, of: int, what: str) -> None:
            nonlocal bar
            if bar is None:
                bar = tqdm(total=of, desc=title, unit=unit, file=sys.stderr, **options)
                stack.callback(bar.close)
            bar.set_postfix_str(what, refresh=False)
            bar.update(done - bar.n)

        yield show


def say(message: str) -> None:
    """Prints a line of the result, above a bar if there is one."""
    tqdm.write(lines(message), file=sys.stdout)
    sys.stdout.flush()


def note(message: str) -> None:
    """Prints a line about the work to standard error, above a bar if there is one."""
    tqdm.write(lines(message), file=sys.stderr)


def warn(message: str) -> None:
    """Prints a warning, above a bar if there is one."""
    tqdm.write(f"warning: {indented(message)}", file=sys.stderr)
