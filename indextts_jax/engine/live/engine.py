"""The engine: one thread that owns the device, and speaks many requests side by side.

    engine = LiveEngine(tts.model, settings)
    engine.start()
    job = engine.submit(LiveRequest(script=..., settings=settings, sink=events.put))
    ...  # `Sound` events, then `Finished` or `Broken`
    engine.close()

It works in ticks. Each drops what was cancelled, gives free slots to waiting segments, decodes all
slots for a bounded number of steps, and turns the most urgent finished codes into sound.
"""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax

from indextts_jax.engine import delivery
from indextts_jax.engine.alignment.words import heads_of, later
from indextts_jax.engine.decoding import Queue, SlotDecoder
from indextts_jax.engine.delivery import DecodedSegment, QueuedSegment, ScriptRequest
from indextts_jax.engine.faults import sample_faults
from indextts_jax.engine.live.chunked import ChunkedSegments, Next
from indextts_jax.engine.live.jobs import Broken, Event, Finished, Job, LiveRequest
from indextts_jax.engine.live.schedule import Speed, StepBudget, buffered, next_job, prebuffer
from indextts_jax.engine.parts import Part, frames_for, judge
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of, segment_limit
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.errors import Failure, InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime import executables
from indextts_jax.runtime.buckets import bucket, flow_size
from indextts_jax.runtime.model import Model
from indextts_jax.sampling.settings import Numbers
from indextts_jax.utils.stopwatch import Clock

T = TypeVar("T")
PREFILLS = 2  # segments that get a slot in a tick, at most


class Load(NamedTuple):
    """What the engine has to do."""

    jobs: int  # not finished
    unheard: int  # of these, without a sound so far
    slots: int  # in use
    seconds: float  # estimated audio of segments that are not spoken yet
    first: float  # of these, estimated audio that comes before the first sound of a new request
    rate: float | None  # seconds of audio made in a second; None before the first measurement


@dataclasses.dataclass
class Counts:
    """What the engine has done since it was made."""

    steps: int = 0
    filled: int = 0  # slots in use, added up over ticks
    ticks: int = 0
    codes: int = 0
    cancelled: int = 0
    audio: float = 0.0  # seconds
    busy: float = 0.0  # seconds
    decoding: float = 0.0  # seconds
    longest_tick: float = 0.0  # seconds of decoding
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


class LiveEngine:
    """Speaks live requests with one strategy, on `settings.batch` slots.

    The sound of at most `rows` segments is made together; one at a time gives the earliest first
    sound, several the most audio a second on a device with many cores.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        *,
        rows: int = 1,
        unload_after: float | None = None,
        on_death: Callable[[BaseException], None] = lambda error: None,
        now: Callable[[], float] = time.monotonic,
    ):
        if settings.timing.duration is not None:
            raise InputError("a live engine cannot meet a duration", "duration")
        self.model, self.settings, self.now = model, settings, now
        self.rows = dataclasses.replace(settings, batch=rows)
        self.sampling = settings.sampling_up_to(max_codes_of(model, settings))
        self.counts, self.speed, self.budget = Counts(), Speed(), StepBudget()
        self.failed: BaseException | None = None
        self.clock = Clock()
        self.on_death, self._unload_after = on_death, unload_after
        self._inbox: collections.deque[Job] = collections.deque()
        self._calls: collections.deque[tuple[concurrent.futures.Future[Any], Any]] = (
            collections.deque()
        )
        self._jobs: dict[int, Job] = {}
        self._scripts = _Scripts(self._jobs)
        self._turns: list[str] = []
        self._retries: list[QueuedSegment] = []
        self._waiting: list[DecodedSegment] = []
        self._chunked = ChunkedSegments(model, self.clock)
        self._decoder: SlotDecoder[QueuedSegment] | None = None
        self._loaded, self._idle_since = True, now()
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    # What other threads call.

    def start(self) -> None:
        """Starts the engine's thread."""
        self._thread.start()

    def submit(self, request: LiveRequest) -> Job:
        """Adds a request to the queue; its sink receives what becomes of it.

        Raises:
            Failure: if the engine has failed, or is closed.
            InputError: for settings that are not the engine's.
        """
        self._check(request.settings)
        job = Job(request, self.now(), self.model.config.mel.sample_rate)
        with self._lock:
            if self.failed is not None or self._closing:
                raise Failure(f"the engine has stopped: {self.failed or 'it was closed'}")
            self._inbox.append(job)
        self._wake.set()
        return job

    def _check(self, settings: Settings) -> None:
        """Rejects settings that need other programs than the engine's."""
        ours, own = self.settings, settings
        strategies = (own.sampling.strategy, ours.sampling.strategy)
        if strategies[0] != strategies[1]:
            raise InputError("beams and the kind of sampling are the engine's, not a request's")
        if (own.steps, own.guidance) != (ours.steps, ours.guidance):
            raise InputError("steps and guidance of the flow are the engine's, not a request's")
        if own.timing.duration is not None:
            raise InputError("a live engine cannot meet a duration", "duration")
        if own.chunks is not None and (
            ours.chunks is None or own.chunks.seams != ours.chunks.seams
        ):
            raise InputError("chunks and their seams are the engine's, not a request's")

    def call(self, function: Callable[[], T]) -> "concurrent.futures.Future[T]":
        """Runs a function on the engine's thread between two ticks: whatever needs the device.

        Raises:
            Failure: if the engine has failed, or is closed.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._lock:
            if self.failed is not None or self._closing:
                raise Failure(f"the engine has stopped: {self.failed or 'it was closed'}")
            self._calls.append((future, function))
        self._wake.set()
        return future

    def cancel(self, job: Job) -> None:
        """Ends a job; its slots are free after at most one tick."""
        job.cancel()
        self._wake.set()

    def load(self) -> Load:
        """What there is to do; may be a tick old."""
        jobs = [job for job in [*self._jobs.values(), *self._inbox] if not job.cancelled]
        unheard = [job for job in jobs if job.started is None]
        decoder = self._decoder
        used = sum(item is not None for item in decoder.held) if decoder is not None else 0
        return Load(
            jobs=len(jobs),
            unheard=len(unheard),
            slots=used,
            seconds=sum((sum(job.expected[len(job.emitted) :], 0.0) for job in jobs), 0.0),
            first=sum((job.expected[0] for job in unheard), 0.0),
            rate=self.speed.rate,
        )

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory: false after it was unloaded because nothing came."""
        return self._loaded

    @property
    def alive(self) -> bool:
        return self.failed is None and self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Whether no job is left."""
        return not self._jobs and not self._inbox

    def close(self) -> None:
        """Stops after the current tick; unfinished jobs get `Broken`."""
        with self._lock:
            self._closing = True
        self._wake.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    # The engine's thread.

    def _run(self) -> None:
        try:
            with jax.default_device(self.model.device):
                while not self._closing:
                    if not self.tick():
                        self._wake.wait(self._patience())
                        self._wake.clear()
                        self._unload_if_idle()
        except BaseException as error:
            self.failed = error
            self._abandon(error)
            self.on_death(error)
            return
        self._abandon(Failure("the engine was closed"))

    def tick(self) -> bool:
        """Does the next piece of work; false if there is none."""
        start, made, compiling = self.now(), self.counts.audio, executables.seconds_spent()
        self._receive()
        self._drop_cancelled()
        called = self._run_call()
        worked = self._decode() | self._speak()  # both, in this order
        if not worked:
            self._chunked.pause()
            return called
        spent = self.now() - start
        self.counts.busy += spent
        without = spent - (executables.seconds_spent() - compiling)
        self.speed.note(self.counts.audio - made, max(0.0, without))
        self._idle_since = self.now()
        return True

    def _receive(self) -> None:
        while self._inbox:
            job = self._inbox.popleft()
            self._loaded = True
            self._jobs[job.number] = job

    def _drop_cancelled(self) -> None:
        gone = {number for number, job in self._jobs.items() if job.cancelled}
        if not gone:
            return
        if self._decoder is not None:
            held = enumerate(self._decoder.held)
            places = [place for place, one in held if one is not None and one.request in gone]
            if places:
                self._decoder.drop(places)
        self._retries = [one for one in self._retries if one.request not in gone]
        self._waiting = [one for one in self._waiting if one.queued.request not in gone]
        self._chunked.drop(gone)
        for number in gone:
            del self._jobs[number]
        self.counts.cancelled += len(gone)

    def _run_call(self) -> bool:
        if not self._calls:
            return False
        future, function = self._calls.popleft()
        if not future.set_running_or_notify_cancel():
            return True
        self._loaded = True
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        self._idle_since = self.now()
        return True

    # Codes.

    def _decode(self) -> bool:
        """Fills free slots, and decodes all for the steps of a tick; false if none is used."""
        if not self._jobs:
            return False
        decoder = self._slots()
        decoder.fill(PREFILLS)
        used = sum(item is not None for item in decoder.held)
        if not used:
            return False
        most, start, held = self.budget.steps, self.now(), list(decoder.held)
        found = decoder.step(most)
        spent = self.now() - start
        self.budget.note(spent, decoder.stepped)
        counts = self.counts
        counts.ticks, counts.filled = counts.ticks + 1, counts.filled + used
        counts.steps, counts.decoding = counts.steps + decoder.stepped, counts.decoding + spent
        counts.longest_tick = max(counts.longest_tick, spent)
        for one, ids, truncated in found:
            if not self._is_chunked(one):
                self._note_codes(one, ids, truncated)
        if self._chunked:
            ended = {one: (ids, truncated) for one, ids, truncated in found}
            again, codes = self._chunked.note_codes(decoder, held, ended)
            self._retries += again
            counts.codes += codes
        return True

    def _is_chunked(self, one: QueuedSegment) -> bool:
        request = self._jobs[one.request].request
        return request.streamed and request.settings.chunks is not None

    def _slots(self) -> SlotDecoder[QueuedSegment]:
        if self._decoder is None:
            scripts = self._scripts
            longest = segment_limit(self.model, self.settings.segment_tokens)
            self._decoder = SlotDecoder(
                self.model,
                Queue(
                    take=self._take,
                    line=lambda one: one.line(scripts),
                    key=lambda one: segment_keys(one.seed(scripts), one.index)[0],
                ),
                self.sampling,
                self.settings.batch,
                bucket(longest, self.model.buckets.text),
                self.clock,
                self._numbers,
            )
        return self._decoder

    def _numbers(self, one: QueuedSegment) -> Numbers:
        return self._jobs[one.request].request.settings.sampling.numbers

    def _take(self) -> QueuedSegment | None:
        """The next segment to decode: a retry, or that of the most urgent job."""
        if self._retries:
            return self._begun(self._retries.pop(0))
        job = next_job(list(self._jobs.values()), self._turns, self.now())
        if job is None:
            return None
        owner = job.request.owner
        self._turns = [*(one for one in self._turns if one != owner), owner][-1000:]
        job.moved = self.now()
        job.admitted += 1
        return self._begun(QueuedSegment(job.number, job.admitted - 1))

    def _begun(self, one: QueuedSegment) -> QueuedSegment:
        if self._is_chunked(one):
            self._chunked.begin(self._jobs[one.request], one, self._slots().text_size)
        return one

    def _note_codes(self, one: QueuedSegment, ids: Any, truncated: bool) -> None:
        """Passes a segment on to synthesis, or back into the queue for a retry."""
        job = self._jobs[one.request]
        settings, spoken = job.request.settings, one.spoken(self._scripts)
        kept, faults, again = judge(
            self.model, spoken, ids, one.attempt, settings, truncated=truncated
        )
        self.counts.codes += len(ids)
        if again:
            self._retries.append(dataclasses.replace(one, attempt=one.attempt + 1))
            return
        script = job.request.script.script
        (frames,) = frames_for(self.model, script, [len(kept)], settings)
        self._waiting.append(DecodedSegment(one, kept, faults, frames))

    # Sound.

    def _speak(self) -> bool:
        """Makes the sound of the most urgent codes, and hands out what is next in each text.

        This is the one place where codes become sound; false if none are waiting.
        """
        now = self.now()
        chunk, group = self._next_chunk(now), self._group(now)
        if chunk is None and not group:
            return False
        if chunk is not None and not (
            group and self._urgency(group[0], now) < buffered(chunk.job, now)
        ):
            self._speak_chunk(chunk)
        else:
            self._speak_whole(group)
        return True

    def _next_chunk(self, now: float) -> Next | None:
        """What can be made of the most urgent chunked stream."""
        if not self._chunked:
            return None
        streams = [job for job in self._jobs.values() if job.request.settings.chunks is not None]
        for job in sorted(streams, key=lambda job: (buffered(job, now), job.number)):
            found = self._chunked.next_of(job, buffered(job, now), alone=len(self._jobs) == 1)
            if found is not None:
                return found
        return None

    def _speak_chunk(self, what: Next) -> None:
        """Makes and hands out the next sound of a chunked stream."""
        job, before = what.job, dict(self.clock.seconds)
        output = self._chunked.make(what, self.rows)
        if output is None:
            return
        index = len(job.emitted)
        spent = {n: s - before.get(n, 0.0) for n, s in self.clock.seconds.items()}
        self.counts.audio += len(output.samples) / job.sample_rate
        if output.final is not None:
            self.counts.faults.update(fault.kind for fault in output.final.faults)
            job.emitted.append(output.final)
        spoken = job.started is not None or what.size is not None
        spoken |= output.final is not None and output.final.codes > 0
        sound = Sound(
            output.samples,
            index,
            job.samples,
            output.seams,
            output.final,
            seconds={name: second for name, second in spent.items() if second},
            words=later(output.words, job.began / job.sample_rate),
        )
        job.samples += len(output.samples)
        if output.final is not None:
            job.began = job.samples
        if len(output.samples) or output.final is not None:
            job.held.append(sound)
        if spoken and any(len(one.samples) for one in job.held):
            if job.started is None:
                job.started = self.now()
                wait = self._wait(what, index)
                job.held[0] = dataclasses.replace(job.held[0], prebuffer=wait)
            for one in job.held:
                _send(job, one)
            job.held.clear()
        if len(job.emitted) == job.count:
            self._finish(job)

    def _wait(self, what: Next, index: int) -> float:
        """Seconds to wait after the first sound of a chunked stream, of segment `index`."""
        if what.one.stream.complete:
            return self._wait_for_segments(what.job, index)
        return self._chunked.prebuffer(what, sum(what.job.expected[index:], 0.0))

    def _wait_for_segments(self, job: Job, index: int) -> float:
        """The same after the whole of segment `index`, from the speed of all work so far."""
        rate = self.speed.rate
        return prebuffer(job.expected[index:], rate and rate / max(1, len(self._jobs)))

    def _speak_whole(self, group: list[DecodedSegment]) -> None:
        """Makes the sound of finished segments, and hands out what is next in each text."""
        self._waiting = [one for one in self._waiting if not any(one is other for other in group)]
        before = dict(self.clock.seconds)
        timed = any(self._scripts[one.queued.request].words is not None for one in group)
        heads = heads_of(self.model) if timed else ()
        sounds = delivery.sounds_of(self.model, self._scripts, group, self.rows, self.clock, heads)
        spent = {n: s - before.get(n, 0.0) for n, s in self.clock.seconds.items()}
        for one, (wave, attention) in zip(group, sounds, strict=True):
            job = self._jobs[one.queued.request]
            faults = sample_faults(wave) if len(wave) else ()
            if faults and one.tries <= job.request.settings.retries:
                self._waiting.append(dataclasses.replace(one, synthesized=one.synthesized + 1))
                continue
            seconds = {name: second / len(group) for name, second in spent.items() if second}
            made = delivery.part_of(
                self.model, self._scripts, one, wave, faults, seconds, attention
            )
            self.counts.faults.update(fault.kind for fault in made.segment.faults)
            self.counts.audio += len(made.samples) / job.sample_rate
            job.made[one.queued.index] = made
        for job in [self._jobs[number] for number in {one.queued.request for one in group}]:
            self._hand_out(job)

    def _urgency(self, one: DecodedSegment, now: float) -> float:
        return buffered(self._jobs[one.queued.request], now)

    def _group(self, now: float) -> list[DecodedSegment]:
        """The most urgent finished segment, with others of the same padded length."""
        if not self._waiting:
            return []

        def urgency(one: DecodedSegment) -> tuple[float, int, int]:
            return self._urgency(one, now), one.queued.request, one.queued.index

        def size(one: DecodedSegment) -> int:
            prompt = self._jobs[one.queued.request].request.script.voice.frames
            return flow_size(self.model.buckets, prompt + one.frames, one.frames)

        ordered = sorted(self._waiting, key=urgency)
        alike = [one for one in ordered if size(one) == size(ordered[0])]
        return alike[: delivery.row_count(len(alike), self.rows.batch)]

    def _hand_out(self, job: Job) -> None:
        """Emits the parts of a job that are ready in text order.

        Nothing is emitted before the first segment that has codes, so that a request of which
        nothing is said fails before its first sound.
        """
        done = len(job.emitted)
        ready = [job.made[index] for index in _consecutive(job.made, done)]
        whole = done + len(ready) == job.count
        spoken = any(part.segment.codes for part in ready) or job.started is not None
        if whole and not spoken:
            self._finish(job)
        if not spoken:
            return
        for index, part in enumerate(ready, done):
            self._emit(job, index, part)
        if whole:
            self._finish(job)

    def _finish(self, job: Job) -> None:
        """Ends a job of which all segments are made."""
        if job.started is None:
            self._end(job, Broken(Failure("the model said nothing at all: try another seed")))
        else:
            self._end(job, Finished(tuple(job.emitted), job.seconds))

    def _emit(self, job: Job, index: int, part: Part) -> None:
        wait = 0.0
        if job.started is None:
            job.started = self.now()
            wait = self._wait_for_segments(job, 0)
        sound = Sound(
            part.samples,
            index,
            job.samples,
            final=part.segment,
            prebuffer=wait,
            seconds=part.seconds,
            words=later(part.words, job.seconds),
        )
        job.samples += len(part.samples)
        job.emitted.append(part.segment)
        del job.made[index]
        _send(job, sound)

    def _end(self, job: Job, event: Event) -> None:
        del self._jobs[job.number]
        job.done = True
        _send(job, event)

    # Idle, and the end.

    def _patience(self) -> float | None:
        """Seconds to wait for work; None for as long as it takes."""
        if self._unload_after is None or not self._loaded:
            # A stream that was held back goes on when its listener has caught up.
            return 0.05 if self._jobs else None
        return max(0.01, self._idle_since + self._unload_after - self.now())

    def _unload_if_idle(self) -> None:
        if self._unload_after is None or not self._loaded or not self.idle or self._calls:
            return
        if self.now() - self._idle_since >= self._unload_after:
            self._decoder = None
            self.model.release(COMPONENTS)
            self._loaded = False

    def _abandon(self, error: BaseException) -> None:
        """Ends all jobs and calls with an error."""
        with self._lock:
            self._closing = True
            jobs = [*self._jobs.values(), *self._inbox]
            calls = list(self._calls)
            self._jobs.clear()
            self._inbox.clear()
            self._calls.clear()
        shown = error if isinstance(error, Exception) else Failure(f"the engine ended: {error!r}")
        for job in jobs:
            job.done = True
            _send(job, Broken(shown))
        for future, _ in calls:
            if future.set_running_or_notify_cancel():
                future.set_exception(shown)


class _Scripts(Mapping[int, ScriptRequest]):
    """The scripts of jobs by number, as the scheduler of finished requests takes them."""

    def __init__(self, jobs: dict[int, Job]):
        self._jobs = jobs

    def __getitem__(self, number: int) -> ScriptRequest:
        return self._jobs[number].request.script

    def __iter__(self) -> Iterator[int]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)


def _consecutive(made: dict[int, Part], first: int) -> range:
    """The indices from `first` on that are there without a gap."""
    end = first
    while end in made:
        end += 1
    return range(first, end)


def _send(job: Job, event: Event) -> None:
    if not job.cancelled:
        job.request.sink(event)
