"""How long the next chunk may be: from measured costs, and what is still to be played."""

import collections
import contextlib
import statistics
import time
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from indextts_jax.engine.streaming.chunks import SIZES, UNIT
from indextts_jax.runtime import executables
from indextts_jax.runtime.model import Model, config_key

RECENT = 16  # measurements of a cost that count
GUARD = 0.05  # seconds of sound that are never planned away
SLOW = 200  # codes of a chunk on a machine that is slower than real time


class Measured:
    """Seconds that calls of each padded length take: the median of the latest."""

    def __init__(self) -> None:
        self._seen: dict[int, collections.deque[float]] = {}

    def note(self, size: int, seconds: float) -> None:
        """Adds a measurement."""
        self._seen.setdefault(size, collections.deque(maxlen=RECENT)).append(seconds)

    @contextlib.contextmanager
    def timed(self, size: int) -> Iterator[None]:
        """Adds a measurement of the block, without what was compiled in it."""
        begin, compiling = time.perf_counter(), executables.seconds_spent()
        yield
        spent = time.perf_counter() - begin - (executables.seconds_spent() - compiling)
        self.note(size, max(0.0, spent))

    def seconds(self, size: int) -> float:
        """What a call of this length takes; in proportion to the nearest that was measured."""
        if not self._seen:
            return 0.0
        nearest = min(self._seen, key=lambda other: (abs(other - size), other))
        return statistics.median(self._seen[nearest]) * size / nearest


class Costs:
    """What codes, flow and vocoder take on this machine; kept up to date by whoever runs them."""

    def __init__(self) -> None:
        self.codes = Measured()  # of one code: how fast they become certain
        self.flow, self.vocoder = Measured(), Measured()

    @property
    def known(self) -> bool:
        """Whether all three were measured."""
        return all(one.seconds(1) for one in (self.codes, self.flow, self.vocoder))


_COSTS: dict[Hashable, Costs] = {}


def costs_of(model: Model) -> Costs:
    """The costs of a model's sizes on its device, common to all streams of the process."""
    key = (config_key(model.config, model.run), model.run.dtype, str(model.device))
    return _COSTS.setdefault(key, Costs())


class Work(NamedTuple):
    """What the next chunk of a segment would need."""

    spoken: int  # codes in its chunks so far
    known: int  # codes that are certain
    ahead: int  # codes that must be known past a chunk
    flow: Callable[[int, int], int]  # padded frames, of the codes so far and those of the chunk
    vocoder: Callable[[int], int]  # padded frames, of the codes of the chunk

    def seconds(self, size: int, costs: Costs) -> float:
        """The estimated time of a chunk of `size` codes."""
        return (
            max(0, self.spoken + size + self.ahead - self.known) * costs.codes.seconds(1)
            + costs.flow.seconds(self.flow(self.spoken, size))
            + costs.vocoder.seconds(self.vocoder(size))
        )

    def after(self, size: int) -> "Work":
        """What the chunk after one of `size` codes needs, if no more codes are known by then."""
        spoken = self.spoken + size
        return self._replace(spoken=spoken, known=max(self.known, spoken + self.ahead))


def next_size(work: Work, costs: Costs, slack: float, second: float) -> int:
    """Codes of the next chunk: the most that are ready before all sound so far is played.

    `slack` is the time until then, `second` the seconds of sound that a code is. Long chunks cost
    least, since each is computed with its context. Where even the shortest takes longer than it
    lasts, chunks are long from the start, see `prebuffer`.
    """
    if is_slow(work, costs, second):
        return SLOW
    allowed = [size for size in SIZES if work.seconds(size, costs) <= slack - GUARD]
    return max(allowed, default=UNIT)


def is_slow(work: Work, costs: Costs, second: float) -> bool:
    """Whether the shortest chunk takes longer than it lasts."""
    return work.seconds(UNIT, costs) > UNIT * second


def prebuffer(work: Work, costs: Costs, codes: int, second: float) -> float:
    """Seconds to wait after the first sound, so that playing never overtakes the work.

    `codes` is the estimated number of codes of the whole text; those of `work` are in the first
    sound already. 0 on a machine that is faster than real time.
    """
    if not is_slow(work, costs, second):
        return 0.0
    longest, ready, played = 0.0, 0.0, work.spoken * second
    while (left := codes - work.spoken) > 0:
        size = min(SLOW, left)
        ready += work.seconds(size, costs)
        longest = max(longest, ready - played)
        played, work = played + size * second, work.after(size)
    return longest + GUARD
