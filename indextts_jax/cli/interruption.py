"""Ctrl-C and SIGTERM: acted on at any moment, and never shown as a traceback.

Python alone is not enough: it drops exceptions that a handler raises inside the garbage collector,
and it runs no handler while a compiled program is running.
"""

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130  # exit code
GRACE = 2.0  # seconds that Python has to react before a compiled program is abandoned
_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM as an exception in the main thread, so that partial work is cleaned up."""


def explain_signal(number: int) -> str:
    """The message for a user."""
    word = "terminated" if number == signal.SIGTERM else "interrupted"
    return f"{word}: nothing was left half-written"


_before_end: list[Callable[[], None]] = []


@contextlib.contextmanager
def before_end(restore: Callable[[], None]) -> Iterator[None]:
    """Within it, `restore` is also called when `abandonable` ends the process."""
    _before_end.append(restore)
    try:
        yield
    finally:
        _before_end.remove(restore)


def _end(number: int) -> NoReturn:
    """Exits at once; only safe while nothing is being written."""
    for restore in _before_end:
        with contextlib.suppress(Exception):
            restore()
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}error: {explain_signal(number)}\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _send(number: signal.Signals) -> None:
    """Sends the signal again; `pthread_kill`, if available, also ends a wait of the main thread."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Makes both signals raise in the main thread, repeatedly until the exception gets through.

    A signal that the process ignores stays ignored.
    """
    if not _in_main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    handlers: dict[int, Callable[..., Any]] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: terminate,
    }
    before = {}
    for number, handler in handlers.items():
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    hook = sys.unraisablehook

    def dropped(event: Any) -> None:
        kinds = {KeyboardInterrupt: signal.SIGINT, Terminated: signal.SIGTERM}
        if event.exc_type not in kinds:
            # Orbax's writers raise this in the event loop of a failed save, which is reported
            # anyway.
            if str(event.exc_value) != "Event loop is closed":
                hook(event)
            return
        again = threading.Timer(0.01, _send, (kinds[event.exc_type],))
        again.daemon = True
        again.start()

    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, former in before.items():
            signal.signal(number, former)


@contextlib.contextmanager
def abandonable() -> Iterator[None]:
    """Lets both signals end the process even while a compiled program runs.

    Only for work that writes nothing to disk: if the exception is not raised within `GRACE`
    seconds, the process exits without cleanup.
    """
    if not _in_main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    left = threading.Event()

    def watch() -> None:
        while number := reader.recv(1):
            if number[0] in _STOPPING and not left.wait(GRACE):
                _end(number[0])

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


@contextlib.contextmanager
def postponed(note: Callable[[str], None]) -> Iterator[Callable[[], int | None]]:
    """Defers the first signal, so that work can stop at a safe point; a second one raises.

    Yields a function that returns the first signal, or None; `note` gets a message when it arrives.
    """
    if not _in_main_thread():
        yield lambda: None
        return
    came: list[int] = []
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            note(
                "stopping after this step, with a save; a second signal stops at once, without one"
            )
        elif number == signal.SIGTERM:
            raise Terminated
        else:
            raise KeyboardInterrupt

    for known in _STOPPING:
        if signal.getsignal(known) != signal.SIG_IGN:
            before[known] = signal.signal(known, handle)
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, former in before.items():
            signal.signal(number, former)
