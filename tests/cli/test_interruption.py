"""Ctrl-C and SIGTERM at moments when Python alone would not hear them."""

import signal
import subprocess
import sys
import time

import pytest

from indextts_jax.cli import interruption
from indextts_jax.cli.interruption import Terminated, interruptible

LINE = "error: interrupted: nothing was left half-written\n"


class Loud:
    """What raises a signal where Python drops exceptions."""

    def __init__(self, number: int):
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_interrupt_in_a_destructor_is_reraised(number: int, error: type[BaseException]) -> None:
    def work() -> None:
        with interruptible():
            loud = Loud(number)
            del loud
            time.sleep(30)

    with pytest.raises(error):
        work()


def test_other_errors_in_destructors_are_shown_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: seen.append(event.exc_type))
    with interruptible():
        broken = Broken()
        del broken
    assert seen == [ValueError]


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruptible(), interruption.abandonable():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# The key derivation stands for a compiled program: it lets no handler run.
COMPILED = """
import functools, hashlib, threading
from indextts_jax.cli import interruption
interruption.GRACE = 0.2
with interruption.interruptible(), interruption.abandonable():
    # Told from another thread, when this one is surely within the function.
    threading.Timer(1.0, functools.partial(print, "running", flush=True)).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""


def test_interrupt_in_a_compiled_program_ends_with_one_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMPILED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, told) == (interruption.INTERRUPTED, LINE)
