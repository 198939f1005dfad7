"""Another command of this package, in a process of its own whose memory is given back."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence


def run_command(name: str, words: Sequence[str], came: Callable[[], int | None]) -> int:
    """Runs `python -m indextts_jax.NAME WORDS...`; gives its exit code.

    A signal that `came` reports is passed on once; the command then ends in its own way.
    """
    # In a group of its own, so that Ctrl-C reaches it through us alone, and once.
    command = [sys.executable, "-m", f"indextts_jax.{name}", *words]
    process = subprocess.Popen(command, start_new_session=sys.platform != "win32")
    passed = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=0.5)
            return code if code >= 0 else 128 - code
        if not passed and (number := came()) is not None:
            process.send_signal(signal.Signals(number))
            passed = True
