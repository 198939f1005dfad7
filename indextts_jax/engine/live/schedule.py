"""What the engine does next: pure functions of the state of its jobs."""

import collections
import itertools
import math
import statistics
from collections.abc import Sequence

from indextts_jax.engine.live.jobs import Job

TICK = 0.05  # seconds of decoding before cancelled and new requests are looked at again
MOST_STEPS = 64  # of a tick, whatever the speed
FIRST_STEPS = 4  # of a tick before anything was measured
DRY = 2.0  # seconds of buffer below which a stream goes before new requests
PATIENCE = 60.0  # seconds after which a request that nobody listens to is as urgent as a stream
MEASURED = 16  # last measurements that the cost of a step is taken from
WINDOW = 30.0  # seconds of work that the speed is averaged over


class StepBudget:
    """Steps that fit into a tick, by the median of the last measurements."""

    def __init__(self, tick: float = TICK):
        self.tick = tick
        self._costs: collections.deque[float] = collections.deque(maxlen=MEASURED)

    def note(self, seconds: float, steps: int) -> None:
        """Adds a measurement."""
        if steps > 0:
            self._costs.append(seconds / steps)

    @property
    def steps(self) -> int:
        if not self._costs:
            return FIRST_STEPS
        cost = statistics.median(self._costs)
        return max(1, min(MOST_STEPS, int(self.tick / max(cost, 1e-6))))


class Speed:
    """Seconds of audio made in a second of work, of about the last `WINDOW` seconds of work."""

    def __init__(self) -> None:
        self._audio = self._seconds = 0.0

    def note(self, audio: float, seconds: float) -> None:
        """Adds a measurement: seconds of audio, and of the work that they took."""
        weight = math.exp(-seconds / WINDOW)
        self._audio = self._audio * weight + audio
        self._seconds = self._seconds * weight + seconds

    @property
    def rate(self) -> float | None:
        """None before any audio was made."""
        return self._audio / self._seconds if self._audio > 0 and self._seconds > 0 else None


def buffered(job: Job, now: float) -> float:
    """Seconds until a listener of the job runs out of sound; negative while none has come.

    For a job that nobody listens to, the time until it is due anyway.
    """
    if not job.request.streamed:
        return job.moved + PATIENCE - now
    if job.started is None:
        return job.arrived - now
    return job.started + job.seconds - now


def next_job(jobs: Sequence[Job], turns: Sequence[str], now: float) -> Job | None:
    """The job whose next segment gets the next free slot.

    Streams that run dry come first; then first segments of new streams, their owners in turn
    (`turns` lists owners, the last served at the end); then the stream with the least buffer.
    Segments that are in work count as buffer.
    """

    def key(job: Job) -> tuple[int, float, int]:
        new = job.request.streamed and not job.admitted
        if new:
            return 1, float(_turn(turns, job.request.owner)), job.number
        if job.request.streamed and job.started is None:
            left = job.in_work  # it begins to play when the first of these is ready
        else:
            left = buffered(job, now) + job.in_work
        return (0 if left < DRY else 2), left, job.number

    return min((job for job in jobs if job.admissible), key=key, default=None)


def _turn(turns: Sequence[str], owner: str) -> int:
    return turns.index(owner) if owner in turns else -1


def prebuffer(expected: Sequence[float], rate: float | None) -> float:
    """Seconds to wait before playing the first segment, so that no later one comes too late.

    `expected` are the seconds of all segments, `rate` the seconds of audio made in a second.
    """
    if rate is None or rate <= 0:
        return 0.0
    ready = played = late = 0.0
    for before, one in itertools.pairwise(expected):
        ready += one / rate
        played += before
        late = max(late, ready - played)
    return late
