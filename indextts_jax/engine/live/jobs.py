"""A live request from its arrival to its last sound, and what its caller receives."""

import dataclasses
import itertools
import threading
from collections.abc import Callable

from indextts_jax.engine.delivery import ScriptRequest
from indextts_jax.engine.parts import Part
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Segment
from indextts_jax.engine.streaming.chunks import Sound

_numbers = itertools.count()


@dataclasses.dataclass(frozen=True)
class Finished:
    """The last event of a job that was spoken completely."""

    segments: tuple[Segment, ...]
    seconds: float  # of audio


@dataclasses.dataclass(frozen=True)
class Broken:
    """The last event of a job that could not be spoken, or not to its end."""

    error: Exception


Event = Sound | Finished | Broken
Sink = Callable[[Event], None]  # called on the engine's thread; must not block


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveRequest:
    """A request ready for the engine.

    Its strategy, flow steps, guidance and batch are the engine's; sampling numbers, timing and
    retries are its own.
    """

    script: ScriptRequest
    settings: Settings
    sink: Sink
    owner: str = ""  # requests of different owners take turns
    streamed: bool = True  # a listener plays it as it comes; otherwise it fills free slots
    ahead: float | None = None  # seconds made before they are taken, at most; None: no limit


class Job:
    """The state of a request in the engine.

    The engine's thread alone changes it, apart from `cancel` and `take`, which any thread may call.
    """

    def __init__(self, request: LiveRequest, arrived: float, sample_rate: int):
        self.request, self.arrived = request, arrived
        self.number = next(_numbers)
        self.sample_rate = sample_rate
        segments, pace = request.script.script.segments, request.settings.timing.pace
        self.expected = [one.duration.usual / pace + one.pause for one in segments]  # seconds
        self.admitted = 0  # segments that were given a slot, in text order
        self.made: dict[int, Part] = {}  # segments that are ready before their turn
        self.held: list[Sound] = []  # sounds of a chunked stream before anything was said
        self.emitted: list[Segment] = []
        self.samples = 0  # handed out
        self.began = 0  # samples of the segments before the one that is spoken in chunks
        self.started: float | None = None  # when the first sound was handed out
        self.moved = arrived  # when it last got a slot
        self.done = False
        self._cancelled = threading.Event()
        self._taken = 0.0  # seconds of audio that the caller has passed on

    @property
    def count(self) -> int:
        """Segments in all."""
        return len(self.expected)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ends the job: its slots are free at the next tick, and no event follows."""
        self._cancelled.set()

    def take(self, seconds: float) -> None:
        """Notes that the caller has passed on this much audio in all."""
        self._taken = seconds

    @property
    def seconds(self) -> float:
        """Seconds of audio that were handed out."""
        return self.samples / self.sample_rate

    @property
    def in_work(self) -> float:
        """Estimated seconds of segments that have a slot, or wait for their sound."""
        return sum(self.expected[len(self.emitted) : self.admitted], 0.0)

    @property
    def waiting(self) -> float:
        """Estimated seconds of segments that have no slot yet."""
        return sum(self.expected[self.admitted :], 0.0)

    @property
    def admissible(self) -> bool:
        """Whether its next segment may be given a slot."""
        if self.admitted == self.count or self.cancelled:
            return False
        limit = self.request.ahead
        return limit is None or self.seconds + self.in_work - self._taken < limit
