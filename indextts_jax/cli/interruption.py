"""Ctrl-C and SIGTERM: heard at every moment, and never as a traceback.

Python alone is not enough: it drops what a handler raises inside its garbage collector, and while a
compiled program runs it calls no handler at all.
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
GRACE = 2.0  # seconds that Python is given before a compiled program is abandoned
_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM, raised in the main thread, so that whatever is half done is cleaned up."""


def explain_signal(number: int) -> str:
    """The line that a user is shown."""
    word = "terminated" if number == signal.SIGTERM else "interrupted"
    return f"{word}: nothing was left half-written"


def _end(number: int) -> NoReturn:
    """Ends the process now; only where nothing is being written."""
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}error: {explain_signal(number)}\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _send(number: signal.Signals) -> None:
    """The signal once more; where the system can, so that it ends a wait of the main thread."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Both signals raise in the main thread, again and again until the exception gets through.

    A signal that the process was told to ignore stays ignored.
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
            # Orbax's writers say this to the loop of a save that failed, which is told by itself.
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
    """Lets both signals end the process although a compiled program runs.

    For work that has nothing on disk: where the exception is not raised in `GRACE` seconds, the
    process ends without any cleaning up.
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
    """The first signal is only noted, so that work can end at a good place; a second one raises.

    Gives the function that says which signal came; `note` gets a line as it comes.
    """
    if not _in_main_thread():
        yield lambda: None
        return
    came: list[int] = []
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            note("stopping after this step, with a save; once more stops at once, without")
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
