"""Single keys of a terminal, without a line end, while a command works."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

from indextts_jax.cli.interruption import before_end

_TICK = 0.1  # seconds


@contextlib.contextmanager
def pressed_keys(on_key: Callable[[str], None]) -> Iterator[bool]:
    """Calls `on_key` for each key; yields whether there is a terminal to read from.

    Ctrl-C works as always. The terminal is restored, also when the process ends at once.
    """
    if not _terminal():
        yield False
        return
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        read = _windows_key if sys.platform == "win32" else _posix_key(stack)

        def watch() -> None:
            while not stop.is_set():
                if key := read():
                    on_key(key)

        thread = threading.Thread(target=watch, name="keys", daemon=True)
        thread.start()
        try:
            yield True
        finally:
            stop.set()
            thread.join()


def _terminal() -> bool:
    """Whether standard input is a terminal in whose foreground this process is."""
    try:
        if not sys.stdin.isatty():
            return False
        return sys.platform == "win32" or os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return False


def _posix_key(stack: contextlib.ExitStack) -> Callable[[], str]:
    import select
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def restore() -> None:
        termios.tcsetattr(number, termios.TCSADRAIN, before)

    stack.callback(restore)
    stack.enter_context(before_end(restore))
    tty.setcbreak(number)

    def read() -> str:
        ready, _, _ = select.select([number], [], [], _TICK)
        return os.read(number, 1).decode("latin-1") if ready else ""

    return read


def _windows_key() -> str:
    if sys.platform != "win32":
        return ""
    import msvcrt
    import time

    if not msvcrt.kbhit():
        time.sleep(_TICK)
        return ""
    return msvcrt.getwch()
