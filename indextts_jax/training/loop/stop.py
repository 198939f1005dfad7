"""Reasons to end a run: all steps done, time limit, or a request."""

import re
import time
from collections.abc import Callable

from indextts_jax.errors import InputError

Asked = Callable[[], str | None]  # the reason to end the run, or None

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def seconds_of(text: str) -> float:
    """Seconds of a duration such as `2h45m`, `90m` or `30s`.

    Raises:
        InputError: for anything else.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InputError(
            f"stop_after: expected a time such as 2h45m, 90m or 30s, got {text!r}", "stop_after"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class Deadline:
    """A time limit, as a reason to stop."""

    def __init__(self, seconds: float | None, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._end = None if seconds is None else now() + seconds

    def __call__(self) -> str | None:
        if self._end is not None and self._now() >= self._end:
            return "the time limit was reached"
        return None

    def left(self) -> float | None:
        """Remaining seconds; None without a limit."""
        return None if self._end is None else max(self._end - self._now(), 0.0)
