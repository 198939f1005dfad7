"""Segments of live streams that are spoken in chunks, each as soon as its codes are certain."""

import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from indextts_jax.engine.acoustic import synthesize_aligned
from indextts_jax.engine.decoding import SlotDecoder
from indextts_jax.engine.delivery import QueuedSegment
from indextts_jax.engine.live.jobs import Job
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming.acoustic import make_chunks, work_of
from indextts_jax.engine.streaming.frames import FrameMap, frame_map
from indextts_jax.engine.streaming.schedule import Costs, next_size, prebuffer
from indextts_jax.engine.streaming.spoken import Output, SpokenSegment
from indextts_jax.runtime import executables
from indextts_jax.runtime.model import Model
from indextts_jax.utils.stopwatch import Clock

SHARED = 0.5  # of its buffer that a stream may plan with beside others, whose sound comes between

Place = tuple[int, int]  # number of the job, index of the segment


class Next(NamedTuple):
    """A segment of which something can be made now; `size` is None for the whole of it."""

    job: Job
    place: Place
    one: SpokenSegment
    size: int | None


class ChunkedSegments:
    """The segments of chunked jobs between their first step and their last sound."""

    def __init__(self, model: Model, clock: Clock):
        self.model, self.clock, self.costs = model, clock, Costs()
        self._segments: dict[Place, SpokenSegment] = {}
        self._maps: dict[tuple[float, str], FrameMap] = {}
        self._stepped_at: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return bool(self._segments)

    def begin(self, job: Job, queued: QueuedSegment, text_size: int) -> None:
        """Takes a segment that gets a slot."""
        settings = job.request.settings
        assert settings.chunks is not None
        key = settings.timing.pace, settings.chunks.seams
        if key not in self._maps:
            self._maps[key] = frame_map(self.model, settings.timing, settings.chunks)
        own = QueuedSegment(0, queued.index, queued.attempt)
        self._segments[queued.request, queued.index] = SpokenSegment.begin(
            self.model, job.request.script, own, settings, self._maps[key], text_size
        )

    def drop(self, jobs: Iterable[int]) -> None:
        """Forgets the segments of jobs."""
        gone = set(jobs)
        for place in [place for place in self._segments if place[0] in gone]:
            del self._segments[place]

    def note_codes(
        self,
        decoder: SlotDecoder[QueuedSegment],
        held: list[QueuedSegment | None],
        ended: dict[QueuedSegment, tuple[Int[np.ndarray, " n"], bool]],
    ) -> tuple[list[QueuedSegment], int]:
        """Takes what became certain in the last steps of slots, which had `held` items.

        Returns segments to decode again, and the codes of those that ended.
        """
        mine = [
            (place, queued)
            for place, queued in enumerate(held)
            if queued is not None and (queued.request, queued.index) in self._segments
        ]
        if not mine:
            return [], 0
        agreed, again, codes = decoder.agreed(), [], 0
        for place, queued in mine:
            one = self._segments[queued.request, queued.index]
            if one.stream.growing.prefix is None:
                one.stream.growing.prefix = decoder.prefix(place)
            if queued in ended:
                one.finish(*ended[queued])
            else:
                found = np.asarray(agreed.codes[place, : agreed.lengths[place]])
                one.agree(found, decided=bool(agreed.decided[place]))
                if one.finished:
                    decoder.drop([place])
            if one.finished:
                codes += len(one.stream.codes)
            if one.retry is not None:
                del self._segments[queued.request, queued.index]
                again.append(QueuedSegment(queued.request, queued.index, queued.attempt + 1))
        self._note_cost(decoder.stepped)
        return again, codes

    def _note_cost(self, steps: int) -> None:
        """Notes what a code takes, with all else that is done between two of them."""
        now, compiling = time.perf_counter(), executables.seconds_spent()
        if self._stepped_at is not None and steps:
            then, before = self._stepped_at
            self.costs.codes.note(1, max(0.0, now - then - (compiling - before)) / steps)
        self._stepped_at = now, compiling

    def pause(self) -> None:
        """Says that time until the next steps is not spent on codes."""
        self._stepped_at = None

    def next_of(self, job: Job, slack: float, *, alone: bool) -> Next | None:
        """What can be made now of the segment of a job that is next in its text.

        `slack` is the time until its listener has played all; `alone` whether no other is spoken.
        """
        place = job.number, len(job.emitted)
        one = self._segments.get(place)
        if one is None:
            return None
        chunks = one.settings.chunks
        assert chunks is not None
        first = chunks.first_codes
        if one.whole(first):
            return Next(job, place, one, None)
        size = first
        if one.begun:
            free = max(0.0, slack) * (1.0 if alone else SHARED)
            size = next_size(work_of(one.stream), self.costs, free, self._second(one))
        return Next(job, place, one, size) if one.ready(size) else None

    def make(self, what: Next, settings: Settings) -> Output | None:
        """The next sound of a segment; None if it has faults and is made again."""
        one = what.one
        if what.size is None:
            row, wave, attention = one.row(), np.zeros(0, np.float32), None
            if row is not None:
                ((wave, attention),) = synthesize_aligned(
                    self.model, [row], settings, self.clock, one.heads
                )
            output = one.sound_of_whole(wave, attention)
        else:
            chunk = one.cut(what.size)
            (made,) = make_chunks(self.model, [chunk], settings, self.clock, self.costs)
            output = one.sound(made)
        if output is not None and output.final is not None:
            del self._segments[what.place]
        return output

    def prebuffer(self, what: Next, expected: float) -> float:
        """Seconds to wait after a first sound; `expected` are those of the text from there on."""
        if what.one.stream.complete or not self.costs.known:
            return 0.0
        codes = round(expected * self.model.config.codes_per_second)
        return prebuffer(work_of(what.one.stream), self.costs, codes, self._second(what.one))

    def _second(self, one: SpokenSegment) -> float:
        """Seconds of sound that a code is."""
        mel = self.model.config.mel
        return one.stream.frame_map.frames_per_code * mel.hop / mel.sample_rate
