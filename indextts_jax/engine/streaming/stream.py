"""The sounds of one request, in text order, each as soon as it can be made."""

import collections
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from indextts_jax.engine.acoustic import synthesize_aligned
from indextts_jax.engine.alignment.words import later
from indextts_jax.engine.decoding import Queue, SlotDecoder
from indextts_jax.engine.delivery import QueuedSegment, ScriptRequest, slot_count
from indextts_jax.engine.parts import Progress
from indextts_jax.engine.seeds import next_seed, segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.streaming.acoustic import make_chunks, work_of
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.engine.streaming.frames import frame_map
from indextts_jax.engine.streaming.listener import Listener
from indextts_jax.engine.streaming.schedule import costs_of, next_size, prebuffer
from indextts_jax.engine.streaming.spoken import Output, SpokenSegment
from indextts_jax.errors import InputError
from indextts_jax.runtime import executables
from indextts_jax.runtime.buckets import bucket
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of
from indextts_jax.utils.stopwatch import Clock

LEAST = 4  # steps of a search with beams, which may not make anything certain

Schedule = Callable[[int], int]
"""Codes of a segment's next chunk, from the number of codes in its chunks so far."""


def stream_sounds(
    model: Model,
    request: ScriptRequest,
    settings: Settings,
    clock: Clock,
    progress: Progress | None = None,
    *,
    schedule: Schedule | None = None,
) -> Iterator[Sound]:
    """Yields the sounds of a script; `settings.chunks` says how its segments are cut.

    At most `settings.batch` segments are decoded at once. A segment that ends within its first
    chunk is synthesized as `speak` does it, bit for bit; so is its retry after faults. Once
    there is a sound of a segment, it is not retried.

    The measured speed decides how long chunks are, so that samples may differ from run to run
    where they meet, unless a `schedule` decides. The codes are always those of `speak`.

    Raises:
        InputError: for a model on several devices.
    """
    check_device(model)
    return _Stream(model, request, settings, clock, progress, schedule).sounds()


def check_device(model: Model) -> None:
    """Refuses a model on several devices.

    Raises:
        InputError: for one.
    """
    if mesh_of(model) is not None:
        raise InputError("chunks need a model on one device")


class _Stream:
    """The state of `stream_sounds` between two sounds."""

    def __init__(
        self,
        model: Model,
        request: ScriptRequest,
        settings: Settings,
        clock: Clock,
        progress: Progress | None,
        schedule: Schedule | None,
    ):
        assert settings.chunks is not None
        self.model, self.request, self.settings, self.clock = model, request, settings, clock
        self.first, self.schedule = settings.chunks.first_codes, schedule
        self.progress = progress or (lambda done, of: None)
        self.map = frame_map(model, settings.timing, settings.chunks)
        self.rate = model.config.mel.sample_rate
        self.count = len(request.script.segments)
        self.queue = collections.deque(QueuedSegment(0, index) for index in range(self.count))
        self.speaking: dict[int, SpokenSegment] = {}  # by index of the segment
        self.costs = costs_of(model)
        self.listener = Listener(time.monotonic())
        self.before: dict[str, float] = {}
        self._waited = 0.0  # seconds of decoding since a code became certain
        longest = max(len(spoken.ids) for spoken in request.script.segments)
        queue = Queue(
            take=self._take,
            line=lambda one: one.line([request]),
            key=lambda one: segment_keys(next_seed(request.seed, one.attempt), one.index)[0],
        )
        self.decoder = SlotDecoder(
            model,
            queue,
            settings.sampling_up_to(max_codes_of(model, settings)),
            slot_count(self.count, settings.batch),
            bucket(longest, model.buckets.text),
            clock,
        )

    def sounds(self) -> Iterator[Sound]:
        self.progress(0, self.count)
        said = 0
        for index in range(self.count):
            start = said
            self.clock.label = f" {index + 1}/{self.count}" if self.count > 1 else ""
            for output in self._segment(index):
                if len(output.samples) == 0 and output.final is None:
                    continue  # all of it is held back for the next
                wait = 0.0
                if not said:
                    wait = self.listener.prebuffer = self._prebuffer(index)
                self.listener.hear(time.monotonic(), len(output.samples) / self.rate)
                spent = {n: s - self.before.get(n, 0.0) for n, s in self.clock.seconds.items()}
                self.before = dict(self.clock.seconds)
                if output.final is not None:
                    self.progress(index + 1, self.count)
                words = later(output.words, start / self.rate)
                yield Sound(
                    output.samples, index, said, output.seams, output.final, wait, spent, words
                )
                said += len(output.samples)

    def _segment(self, index: int) -> Iterator[Output]:
        """The sounds of one segment."""
        # The default device is thread-local, and between two sounds it is the caller's.
        with jax.default_device(self.model.device):
            one = self._decode(index, self.first)
            output = self._whole(one) if one.whole(self.first) else None
        if output is not None:
            yield output
        while not one.stream.complete:
            with jax.default_device(self.model.device):
                size = self._size(one)
                one = self._decode(index, size)
                (wave,) = make_chunks(
                    self.model, [one.cut(size)], self.settings, self.clock, self.costs
                )
                output = one.sound(wave)
            yield output
        del self.speaking[index]

    def _whole(self, one: SpokenSegment) -> Output:
        """The sound of a short segment, made as `speak` makes it."""
        while True:
            row = one.row()
            wave, attention = np.zeros(0, np.float32), None
            if row is not None:
                ((wave, attention),) = synthesize_aligned(
                    self.model, [row], self.settings, self.clock, one.heads
                )
            if (output := one.sound_of_whole(wave, attention)) is not None:
                return output

    def _size(self, one: SpokenSegment) -> int:
        """Codes of the next chunk."""
        if not one.begun:
            return self.first
        if self.schedule is not None:
            return self.schedule(one.stream.spoken)
        slack = self.listener.slack(time.monotonic())
        return next_size(work_of(one.stream), self.costs, slack, self._second)

    @property
    def _second(self) -> float:
        """Seconds of sound that a code is."""
        return self.map.frames_per_code * self.model.config.mel.hop / self.rate

    def _prebuffer(self, index: int) -> float:
        """Seconds to wait after the first sound, which is of this segment."""
        one = self.speaking.get(index)
        if one is None or one.stream.complete or not self.costs.known:
            return 0.0
        text = sum(spoken.duration.usual for spoken in self.request.script.segments[index:])
        codes = round(text * self.model.config.codes_per_second)
        return prebuffer(work_of(one.stream), self.costs, codes, self._second)

    def _take(self) -> QueuedSegment | None:
        """The next segment for a slot."""
        if not self.queue:
            return None
        queued = self.queue.popleft()
        self.speaking[queued.index] = SpokenSegment.begin(
            self.model, self.request, queued, self.settings, self.map, self.decoder.text_size
        )
        return queued

    def _decode(self, index: int, size: int) -> SpokenSegment:
        """Decodes until a chunk of `size` codes of this segment can be made; its last attempt."""
        while True:
            one = self.speaking.get(index)
            if one is not None and (retry := one.retry) is not None:
                self.queue.appendleft(retry)
                del self.speaking[index]
            elif one is not None and one.ready(size):
                return one
            with self.clock.stage("codes"):
                self.decoder.fill()
            self._step(self.speaking[index], size)

    def _step(self, awaited: SpokenSegment, size: int) -> None:
        """Runs all slots for some steps, and notes what is certain of their codes."""
        steps = awaited.stream.wanted(size)
        if self.settings.sampling.beams > 1:
            steps = max(steps, LEAST)
        held, known = list(self.decoder.held), len(awaited.stream.codes)
        begin, compiling = time.perf_counter(), executables.seconds_spent()
        ended = {item: (codes, cut) for item, codes, cut in self.decoder.step(steps)}
        agreed = self.decoder.agreed()
        for place, queued in enumerate(held):
            if queued is None:
                continue
            one = self.speaking[queued.index]
            if one.stream.growing.prefix is None:
                one.stream.growing.prefix = self.decoder.prefix(place)
            if queued in ended:
                one.finish(*ended[queued])
            else:
                codes = np.asarray(agreed.codes)[place, : agreed.lengths[place]]
                one.agree(codes, decided=bool(agreed.decided[place]))
                if one.finished:
                    self.decoder.drop([place])
        spent = time.perf_counter() - begin - (executables.seconds_spent() - compiling)
        self._waited += max(0.0, spent)
        if (gained := len(awaited.stream.codes) - known) > 0:
            self.costs.codes.note(1, self._waited / gained)
            self._waited = 0.0
