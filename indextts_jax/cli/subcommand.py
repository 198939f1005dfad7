"""Runs another command of this package in its own process, so that its memory is freed."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence


def run_command(name: str, words: Sequence[str], came: Callable[[], int | None]) -> int:
    """Runs `python -m indextts_jax.NAME WORDS...`; returns its exit code.

    A signal reported by `came` is forwarded once; the command then shuts down by itself.
    """
    # In its own process group, so that Ctrl-C reaches it only through us, and once.
    command = [sys.executable, "-m", f"indextts_jax.{name}", *words]
    process = subprocess.Popen(command, start_new_session=sys.platform != "win32")
    forwarded = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=0.5)
            return code if code >= 0 else 128 - code
        if not forwarded and (number := came()) is not None:
            process.send_signal(signal.Signals(number))
            forwarded = True
