"""What the commands show: a bar with the stage and the time, and plain tables."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

TICK = 0.5  # seconds between two looks at the clock


@contextlib.contextmanager
def stage_bar(title: str) -> Iterator[Callable[[str], None]]:
    """A line with the running stage and the seconds so far; gives the function that names a stage.

    A stage is one compiled program, which tells nothing while it runs: the clock shows that it
    does.
    """
    stop = threading.Event()
    with tqdm(
        total=0,
        desc=title,
        bar_format="{desc}: {elapsed} {postfix}",
        file=sys.stderr,
        leave=False,
        disable=None,  # where nobody watches
    ) as bar:

        def tick() -> None:
            while not stop.wait(TICK):
                bar.refresh()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield lambda stage: bar.set_postfix_str(stage)
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def count_bar(title: str, unit: str, **options: Any) -> Iterator[Callable[[int, int, str], None]]:
    """A bar of work that can be counted; gives the function that is called as work is done.

    Its arguments are how much is done, of how much, and what is being done. The bar appears with
    the first call: an error before it stands alone. `options` are tqdm's.
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
    tqdm.write(message, file=sys.stdout)
    sys.stdout.flush()


def warn(message: str) -> None:
    """Shows something that a user should know, and that stops nothing."""
    tqdm.write(f"warning: {message}", file=sys.stderr)
