"""Many texts at once: their segments share the compiled programs, as many rows as wished.

Segments wait as text. As they come, longest first, they take a row of the loop over codes; one that
is finished makes room for the next. Flow and vocoder then run on groups of about the same length.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.engine.acoustic import Finished, Line, waves_of
from indextts_jax.engine.decoding import Decoder
from indextts_jax.engine.faults import Fault, sample_faults
from indextts_jax.engine.parts import Part, Progress, frames_for, judge, within_silence
from indextts_jax.engine.seeds import next_seed, segment_keys
from indextts_jax.engine.settings import Settings, code_limit
from indextts_jax.engine.speech import Segment
from indextts_jax.runtime.buckets import bucket, text_buckets
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True)
class Job:
    """A script to speak, and how."""

    script: Script
    voice: Voice
    emotion: Float[Array, "1 d"]
    seed: int


@dataclasses.dataclass(frozen=True, order=True)
class Ticket:
    """A segment that waits for its codes."""

    job: int
    index: int  # of the segment
    attempt: int = 0

    def spoken(self, jobs: Sequence[Job]) -> Spoken:
        """The text."""
        return jobs[self.job].script.segments[self.index]

    def seed(self, jobs: Sequence[Job]) -> int:
        """The seed of this try."""
        return next_seed(jobs[self.job].seed, self.attempt)

    def line(self, jobs: Sequence[Job]) -> Line:
        """What the stages take."""
        job = jobs[self.job]
        return Line(self.spoken(jobs).ids, job.voice, job.emotion)


@dataclasses.dataclass(frozen=True)
class Sounding:
    """A segment with its codes, which waits for its sound."""

    ticket: Ticket  # its last try
    codes: Int[np.ndarray, " n"]
    faults: tuple[Fault, ...]
    frames: int
    tried: int = 0  # times that it was sounded

    @property
    def place(self) -> tuple[int, int]:
        """Whose it is, and which."""
        return self.ticket.job, self.ticket.index

    def finished(self, jobs: Sequence[Job]) -> Finished:
        """What the stages take."""
        seed = next_seed(jobs[self.ticket.job].seed, self.ticket.attempt + self.tried)
        key = segment_keys(seed, self.ticket.index)[1]
        return Finished(self.ticket.line(jobs), self.codes, self.frames, key)


def row_count(waiting: int, batch: int) -> int:
    """How many rows run together: all that may, else a power of two, so that few programs do."""
    return batch if waiting >= batch else 1 << (waiting.bit_length() - 1)


def slot_count(waiting: int, batch: int, mesh: Mesh | None = None) -> int:
    """How many rows decode together: no more than wished, nor much more than are needed.

    Several devices get the same number each.
    """
    size = min(batch, 1 << (waiting - 1).bit_length())
    return size if mesh is None else -(-size // mesh.size) * mesh.size


def due(
    waiting: Sequence[Sounding],
    rungs: Sequence[int],
    batch: int,
    *,
    first: tuple[int, int] | None,
    last: bool,
) -> list[int]:
    """Which of those that wait are sounded now, together; none to wait for more.

    A group has one rung, the padded length of its flow. It is sounded when it is full; when it
    holds the segment `first`, which is waited for; or, when no more come, the longest `last`.
    """
    groups = collections.defaultdict(list)
    for number, rung in enumerate(rungs):
        groups[rung].append(number)
    for group in groups.values():
        awaited = [number for number in group if waiting[number].place == first]
        if awaited or len(group) >= batch:
            rest = [number for number in group if number not in awaited]
            return (awaited + rest)[: row_count(len(group), batch)]
    if last and groups:
        group = groups[max(groups)]
        return group[: row_count(len(group), batch)]
    return []


def deliver_many(
    model: Model,
    jobs: Sequence[Job],
    settings: Settings,
    clock: Clock,
    progress: Progress | None = None,
    *,
    in_order: bool = False,
) -> Iterator[tuple[int, int, Part]]:
    """The parts of many scripts, each with the numbers of its job and segment, as they are ready.

    At most `settings.batch` segments are spoken at once. In order, the parts come as in the texts,
    the first as soon as it is there; otherwise full groups go first. Nothing depends on how long
    anything takes: the same jobs give the same bits.

    A segment with faults is tried again as in `delivery.deliver`.

    Raises:
        InputError: for a duration that cannot be met.
    """
    return _Delivery(model, jobs, settings, clock, progress, in_order).parts()


class _Delivery:
    """What `deliver_many` holds between two parts."""

    def __init__(
        self,
        model: Model,
        jobs: Sequence[Job],
        settings: Settings,
        clock: Clock,
        progress: Progress | None,
        in_order: bool,
    ):
        self.model, self.jobs, self.settings, self.clock = model, jobs, settings, clock
        tickets = [
            Ticket(number, index)
            for number, job in enumerate(jobs)
            for index in range(len(job.script.segments))
        ]
        self.order = collections.deque(ticket for ticket in tickets) if in_order else None
        if not in_order:
            tickets.sort(key=lambda ticket: -len(ticket.spoken(jobs).ids))
        self.queue = collections.deque(tickets)
        self.count, self.done = len(tickets), 0
        self.progress = progress or (lambda done, of: None)
        self.coded: dict[int, list[tuple[Ticket, np.ndarray, tuple[Fault, ...]]]] = {}
        self.waiting: list[Sounding] = []
        self.held: dict[tuple[int, int], Part] = {}  # in order: what came too early
        self.before: dict[str, float] = {}

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        self.progress(0, self.count)
        rows = self._coded_rows()
        while True:
            # The default device is a thread's own setting, and between two parts the caller's.
            with jax.default_device(self.model.device):
                one = next(rows, None)
                if one is not None:
                    self._note_codes(*one)
            while True:
                with jax.default_device(self.model.device):
                    made = self._sounded(last=one is None)
                if made is None:
                    break
                for place, part in made:
                    self.held[place] = part
                for place in self._releasable():
                    self.done += 1
                    self.progress(self.done, self.count)
                    yield (*place, self.held.pop(place))
            if one is None:
                return

    def _coded_rows(self) -> Iterator[tuple[Ticket, Int[np.ndarray, " n"], bool]]:
        """Codes of what is in the queue, as long as it holds something."""
        longest = max(len(ticket.spoken(self.jobs).ids) for ticket in self.queue)
        decoder = Decoder(
            self.model,
            self.settings.sampling_up_to(code_limit(self.model, self.settings)),
            slot_count(len(self.queue), self.settings.batch, mesh_of(self.model)),
            bucket(longest, text_buckets(self.model.config)),
            take=self._take,
            line=lambda ticket: ticket.line(self.jobs),
            key=lambda ticket: segment_keys(ticket.seed(self.jobs), ticket.index)[0],
            clock=self.clock,
        )
        return decoder.codes()

    def _take(self) -> Ticket | None:
        self._tell()
        return self.queue.popleft() if self.queue else None

    def _tell(self) -> None:
        self.clock.label = f" {self.done + 1}/{self.count}" if self.count > 1 else ""

    def _note_codes(self, ticket: Ticket, ids: Int[np.ndarray, " n"], truncated: bool) -> None:
        """Sends a segment on to its sound, or back into the queue for another try."""
        kept, faults, again = judge(
            self.model,
            ticket.spoken(self.jobs),
            ids,
            ticket.attempt,
            self.settings,
            truncated=truncated,
        )
        if again:
            self.queue.appendleft(dataclasses.replace(ticket, attempt=ticket.attempt + 1))
            return
        script = self.jobs[ticket.job].script
        together = self.coded.setdefault(ticket.job, [])
        together.append((ticket, kept, faults))
        if self.settings.timing.duration is not None and len(together) < len(script.segments):
            return  # the frames of each depend on the codes of all
        together.sort(key=lambda one: one[0])
        counts = [len(codes) for _, codes, _ in together]
        frames = frames_for(self.model, script, counts, self.settings)
        for (one, codes, wrong), size in zip(together, frames, strict=True):
            self.waiting.append(Sounding(one, codes, wrong, size))
        together.clear()

    def _releasable(self) -> Iterator[tuple[int, int]]:
        """What may be handed out now."""
        if self.order is None:
            yield from list(self.held)
            return
        while self.order and (place := (self.order[0].job, self.order[0].index)) in self.held:
            self.order.popleft()
            yield place

    def _sounded(self, *, last: bool) -> list[tuple[tuple[int, int], Part]] | None:
        """The parts of a group that is due, without those that are to be tried again."""
        ladder = self.model.config.buckets.frames
        rungs = [
            bucket(self.jobs[one.ticket.job].voice.frames + one.frames, ladder)
            for one in self.waiting
        ]
        first = (self.order[0].job, self.order[0].index) if self.order else None
        chosen = due(self.waiting, rungs, self.settings.batch, first=first, last=last)
        if not chosen:
            return None
        group = [self.waiting[number] for number in chosen]
        self.waiting = [one for n, one in enumerate(self.waiting) if n not in set(chosen)]
        self._tell()
        waves = self._waves(group)
        spent = {n: s - self.before.get(n, 0.0) for n, s in self.clock.seconds.items()}
        self.before = dict(self.clock.seconds)
        made = []
        for one, wave in zip(group, waves, strict=True):
            faults = sample_faults(wave) if len(wave) else ()
            tries = one.ticket.attempt + 1 + one.tried
            if faults and tries <= self.settings.retries:
                self.waiting.append(dataclasses.replace(one, tried=one.tried + 1))
                continue
            script = self.jobs[one.ticket.job].script
            segment = Segment(
                text_tokens=len(one.ticket.spoken(self.jobs).ids),
                codes=len(one.codes),
                frames=one.frames if len(wave) else 0,
                truncated=any(fault.kind == "endless" for fault in one.faults),
                tries=tries,
                faults=one.faults + faults,
            )
            samples = within_silence(self.model, script, one.ticket.index, wave)
            seconds = {name: second / len(group) for name, second in spent.items()}
            made.append((one.place, Part(samples, segment, seconds)))
        return made

    def _waves(self, group: Sequence[Sounding]) -> list[Float32[np.ndarray, " n"]]:
        """The samples of a group; none of a segment without codes."""
        spoken = [one for one in group if len(one.codes)]
        made = iter(self._sound(spoken))
        return [next(made) if len(one.codes) else np.zeros(0, np.float32) for one in group]

    def _sound(self, group: Sequence[Sounding]) -> list[Float32[np.ndarray, " n"]]:
        waves: list[Float32[np.ndarray, " n"]] = []
        while rest := group[len(waves) :]:
            now = rest[: row_count(len(rest), self.settings.batch)]
            finished = [one.finished(self.jobs) for one in now]
            waves += waves_of(self.model, finished, self.settings, self.clock)
        return waves
