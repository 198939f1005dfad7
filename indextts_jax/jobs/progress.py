"""How far a data set is: counts of finished packs, rate and time left."""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError
from indextts_jax.jobs.output import Output
from indextts_jax.jobs.plan import Pack
from indextts_jax.jobs.rows import STATUSES, UNSPOKEN
from indextts_jax.utils.atomic import write_whole

STATUS = "status.json"
EVERY = 5.0  # seconds between two writes of the status
RECENT = 900.0  # seconds whose packs give the rate that `status` shows
LEAST = 1000  # rows before a share of them can end the run


@dataclasses.dataclass
class Tally:
    """What is done of a set, or of a part of it."""

    rows: int
    packs: int
    seconds: float  # of audio, estimated
    done: int = 0  # packs
    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    audio: float = 0.0  # seconds
    compute: float = 0.0  # seconds, added up over all workers
    expected: float = 0.0  # seconds of audio that the plan estimated for the finished packs
    finished: list[tuple[float, float]] = dataclasses.field(default_factory=list)  # time, estimate

    @classmethod
    def of(cls, packs: Sequence[Pack]) -> "Tally":
        """An empty tally of packs."""
        return cls(
            sum(pack.rows for pack in packs), len(packs), sum(pack.seconds for pack in packs)
        )

    def add(self, made: Mapping[str, Any], estimate: float) -> None:
        """Counts a finished pack, given its summary and the estimate of its audio."""
        self.done += 1
        self.counts.update(made["counts"])
        self.audio += made["audio"]
        self.compute += made["compute"]
        self.expected += estimate
        self.finished.append((made["finished"], estimate))

    @property
    def rows_done(self) -> int:
        """Rows of finished packs."""
        return sum(self.counts.values())

    @property
    def unspoken(self) -> int:
        """Rows of finished packs that could not be spoken."""
        return sum(self.counts[status] for status in UNSPOKEN)

    def too_many(self, share: float) -> bool:
        """Whether a larger share of rows than this could not be spoken."""
        return self.unspoken > share * max(self.rows_done, min(self.rows, LEAST))

    def left(self, now: float | None = None) -> float | None:
        """Seconds until the rest is done, at the recent rate; None if that is not known."""
        now = time.time() if now is None else now
        if self.done >= self.packs:
            return 0.0
        recent = [(at, estimate) for at, estimate in self.finished if now - at < RECENT]
        if len(recent) < 2:
            return None
        began = min(at for at, _ in recent)
        passed = now - began
        rate = sum(estimate for at, estimate in recent if at > began) / passed if passed else 0.0
        return (self.seconds - self.expected) / rate if rate else None

    def data(self) -> dict[str, Any]:
        """As plain data, for `status.json`."""
        left = self.left()
        return {
            "time": round(time.time(), 3),
            "packs": self.packs,
            "packs_done": self.done,
            "rows": self.rows,
            "rows_done": self.rows_done,
            "statuses": {status: self.counts[status] for status in STATUSES},
            "audio_seconds": round(self.audio, 3),
            "compute_seconds": round(self.compute, 3),
            "seconds_left": None if left is None else round(left),
        }

    def text(self) -> str:
        """As a few lines."""
        counts = ", ".join(
            f"{self.counts[name]:,} {name}" for name in STATUSES if self.counts[name]
        )
        lines = [
            f"packs   {self.done:,} of {self.packs:,}",
            f"rows    {self.rows_done:,} of {self.rows:,}" + (f": {counts}" if counts else ""),
            f"audio   {span(self.audio)} of about {span(self.seconds)}",
        ]
        if self.compute:
            lines.append(
                f"speed   {self.audio / self.compute:.2f} s of audio for a second of a worker"
            )
        if (left := self.left()) is not None and self.done < self.packs:
            lines.append(f"left    about {span(left)}")
        return "\n".join(lines)


def span(seconds: float) -> str:
    """A time in human-readable form."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def tally(output: Output, packs: Sequence[Pack], done: set[int] | None = None) -> Tally:
    """What is done of these packs, from their markers alone.

    Raises:
        InputError: for a damaged marker.
    """
    found = Tally.of(packs)
    done = output.done() if done is None else done
    there = [pack for pack in packs if pack.number in done]
    made = output.summaries(pack.number for pack in there)
    for pack, one in zip(there, made, strict=True):
        found.add(one, pack.seconds)
    return found


class StatusFile:
    """Writes the status now and then."""

    def __init__(self, output: Output, name: str = STATUS):
        self.path: Path = output.path / name
        self.last = 0.0

    def write(self, found: Tally, **more: Any) -> None:
        """Writes the status, if the last one is old enough or there is more to say."""
        now = time.monotonic()
        if not more and now - self.last < EVERY:
            return
        self.last = now
        text = json.dumps({**found.data(), **more}, indent=1)
        write_whole(self.path, (text + "\n").encode())


def parse_share(word: str) -> float:
    """A share such as `1%` or `0.01`.

    Raises:
        InputError: if it is not between 0 and 1.
    """
    try:
        share = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"max_failed must be a share such as 1% or 0.01, got {word}", "max_failed")
    return share


_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def parse_span(word: str) -> float:
    """Seconds of a time such as `90`, `45m`, `3.5h` or `3h30m`.

    Raises:
        InputError: for another form.
    """
    import re

    parts = re.findall(r"([0-9.]+)\s*(d|h|min|m|s|$)", word)
    whole = "".join(number + unit for number, unit in parts)
    try:
        if not parts or whole != word.replace(" ", ""):
            raise ValueError
        return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    except ValueError:
        raise InputError(
            f"deadline must be a time such as 90s, 45m or 3h30m, got {word}", "deadline"
        ) from None
