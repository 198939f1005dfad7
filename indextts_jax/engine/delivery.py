"""The scheduler: scripts in, parts out, one segment after the other or many at once.

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

from indextts_jax.engine.acoustic import Line, SynthesisRow, synthesize
from indextts_jax.engine.decoding import Decoded, Queue, SlotDecoder, decode_in_turn
from indextts_jax.engine.faults import Fault, longest_repeat, sample_faults
from indextts_jax.engine.parts import Part, Progress, frames_for, judge, within_silence
from indextts_jax.engine.seeds import next_seed, segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.speech import Segment
from indextts_jax.runtime.buckets import bucket, flow_size
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True)
class ScriptRequest:
    """A request as the scheduler takes it: its text read, its emotion a vector."""

    script: Script
    voice: Voice
    emotion: Float[Array, "1 d"]
    seed: int


@dataclasses.dataclass(frozen=True, order=True)
class QueuedSegment:
    """A segment that waits for its codes."""

    request: int
    index: int  # in its script
    attempt: int = 0

    def spoken(self, requests: Sequence[ScriptRequest]) -> Spoken:
        """The text."""
        return requests[self.request].script.segments[self.index]

    def seed(self, requests: Sequence[ScriptRequest]) -> int:
        """The seed of this try."""
        return next_seed(requests[self.request].seed, self.attempt)

    def line(self, requests: Sequence[ScriptRequest]) -> Line:
        """What the stages take."""
        request = requests[self.request]
        return Line(self.spoken(requests).ids, request.voice, request.emotion)


@dataclasses.dataclass(frozen=True)
class DecodedSegment:
    """A segment with its codes, which waits for its samples."""

    queued: QueuedSegment  # its last try
    codes: Int[np.ndarray, " n"]
    faults: tuple[Fault, ...]
    frames: int
    synthesized: int = 0  # times that it was

    @property
    def place(self) -> tuple[int, int]:
        """Whose it is, and which."""
        return self.queued.request, self.queued.index

    def row(self, requests: Sequence[ScriptRequest]) -> SynthesisRow:
        """What the stages take."""
        attempt = self.queued.attempt + self.synthesized
        seed = next_seed(requests[self.queued.request].seed, attempt)
        key = segment_keys(seed, self.queued.index)[1]
        return SynthesisRow(self.queued.line(requests), self.codes, self.frames, key)


def row_count(waiting: int, batch: int) -> int:
    """How many rows run together: all that may, else a power of two, so that few programs do."""
    return batch if waiting >= batch else 1 << (waiting.bit_length() - 1)


def slot_count(waiting: int, batch: int, mesh: Mesh | None = None) -> int:
    """How many rows decode together: no more than asked for, nor much more than are needed.

    Several devices get the same number each.
    """
    size = min(batch, 1 << (waiting - 1).bit_length())
    return size if mesh is None else -(-size // mesh.size) * mesh.size


def next_group(
    waiting: Sequence[DecodedSegment],
    sizes: Sequence[int],
    batch: int,
    *,
    first: tuple[int, int] | None,
    last: bool,
) -> list[int]:
    """Which of those that wait are synthesized now, together; none to wait for more.

    A group has one padded length of its flow (`sizes`). Its turn comes when it is full; when it
    holds the segment `first`, which is waited for; or, when no more come, the longest `last`.
    """
    groups = collections.defaultdict(list)
    for number, size in enumerate(sizes):
        groups[size].append(number)
    for group in groups.values():
        awaited = [number for number in group if waiting[number].place == first]
        if awaited or len(group) >= batch:
            rest = [number for number in group if number not in awaited]
            return (awaited + rest)[: row_count(len(group), batch)]
    if last and groups:
        group = groups[max(groups)]
        return group[: row_count(len(group), batch)]
    return []


def deliver(
    model: Model,
    requests: Sequence[ScriptRequest],
    settings: Settings,
    clock: Clock,
    progress: Progress | None = None,
    *,
    in_order: bool = False,
) -> Iterator[tuple[int, int, Part]]:
    """The parts of scripts, each with the numbers of its request and segment, as they are ready.

    At most `settings.batch` segments are spoken at once. In order, the parts come as in the texts,
    the first as soon as it is there; otherwise full groups go first. Nothing depends on how long
    anything takes: the same requests give the same bits.

    A segment with faults is tried again with the next seed, as often as the settings allow (if it
    gave no code at all, a few times anyway); the last try counts, and keeps its faults.

    Raises:
        InputError: for a duration that cannot be met.
    """
    return _Delivery(model, requests, settings, clock, progress, in_order).parts()


class _Delivery:
    """What `deliver` holds between two parts."""

    def __init__(
        self,
        model: Model,
        requests: Sequence[ScriptRequest],
        settings: Settings,
        clock: Clock,
        progress: Progress | None,
        in_order: bool,
    ):
        self.model, self.requests, self.settings, self.clock = model, requests, settings, clock
        segments = [
            QueuedSegment(number, index)
            for number, request in enumerate(requests)
            for index in range(len(request.script.segments))
        ]
        self.order = collections.deque(segments) if in_order else None
        if not in_order:
            segments.sort(key=lambda segment: -len(segment.spoken(requests).ids))
        self.queue = collections.deque(segments)
        self.count, self.done = len(segments), 0
        self.progress = progress or (lambda done, of: None)
        self.decoded: dict[int, list[tuple[QueuedSegment, np.ndarray, tuple[Fault, ...]]]] = {}
        self.waiting: list[DecodedSegment] = []
        self.held: dict[tuple[int, int], Part] = {}  # in order: what came too early
        self.before: dict[str, float] = {}

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        self.progress(0, self.count)
        rows = self._decoder()
        while True:
            # The default device is a thread's own setting, and between two parts the caller's.
            with jax.default_device(self.model.device):
                one = next(rows, None)
                if one is not None:
                    self._note_codes(*one)
            while True:
                with jax.default_device(self.model.device):
                    made = self._synthesized(last=one is None)
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

    def _decoder(self) -> Decoded[QueuedSegment]:
        """Codes of what is in the queue, as long as it holds something."""
        requests, settings = self.requests, self.settings
        queue = Queue(
            take=self._take,
            line=lambda segment: segment.line(requests),
            key=lambda segment: segment_keys(segment.seed(requests), segment.index)[0],
        )
        sampling = settings.sampling_up_to(max_codes_of(self.model, settings))
        if settings.batch == 1:
            return decode_in_turn(self.model, queue, sampling, self.clock)
        longest = max(len(segment.spoken(requests).ids) for segment in self.queue)
        size = slot_count(len(self.queue), settings.batch, mesh_of(self.model))
        text_size = bucket(longest, self.model.buckets.text)
        return SlotDecoder(self.model, queue, sampling, size, text_size, self.clock).codes()

    def _take(self) -> QueuedSegment | None:
        self._label()
        return self.queue.popleft() if self.queue else None

    def _label(self) -> None:
        self.clock.label = f" {self.done + 1}/{self.count}" if self.count > 1 else ""

    def _note_codes(
        self, segment: QueuedSegment, ids: Int[np.ndarray, " n"], truncated: bool
    ) -> None:
        """Sends a segment on to its samples, or back into the queue for another try."""
        kept, faults, again = judge(
            self.model,
            segment.spoken(self.requests),
            ids,
            segment.attempt,
            self.settings,
            truncated=truncated,
        )
        if again:
            self.queue.appendleft(dataclasses.replace(segment, attempt=segment.attempt + 1))
            return
        script = self.requests[segment.request].script
        together = self.decoded.setdefault(segment.request, [])
        together.append((segment, kept, faults))
        if self.settings.timing.duration is not None and len(together) < len(script.segments):
            return  # the frames of each depend on the codes of all
        together.sort(key=lambda one: one[0])
        counts = [len(codes) for _, codes, _ in together]
        frames = frames_for(self.model, script, counts, self.settings)
        for (one, codes, wrong), size in zip(together, frames, strict=True):
            self.waiting.append(DecodedSegment(one, codes, wrong, size))
        together.clear()

    def _releasable(self) -> Iterator[tuple[int, int]]:
        """What may be handed out now."""
        if self.order is None:
            yield from list(self.held)
            return
        while self.order and (place := (self.order[0].request, self.order[0].index)) in self.held:
            self.order.popleft()
            yield place

    def _synthesized(self, *, last: bool) -> list[tuple[tuple[int, int], Part]] | None:
        """The parts of the next group, without those that are to be tried again."""
        prompts = [self.requests[one.queued.request].voice.frames for one in self.waiting]
        sizes = [
            flow_size(self.model.buckets, frames + one.frames, one.frames)
            for frames, one in zip(prompts, self.waiting, strict=True)
        ]
        first = (self.order[0].request, self.order[0].index) if self.order else None
        chosen = next_group(self.waiting, sizes, self.settings.batch, first=first, last=last)
        if not chosen:
            return None
        group = [self.waiting[number] for number in chosen]
        self.waiting = [one for n, one in enumerate(self.waiting) if n not in set(chosen)]
        self._label()
        waves = self._waves(group)
        spent = {n: s - self.before.get(n, 0.0) for n, s in self.clock.seconds.items()}
        self.before = dict(self.clock.seconds)
        made = []
        for one, wave in zip(group, waves, strict=True):
            faults = sample_faults(wave) if len(wave) else ()
            tries = one.queued.attempt + 1 + one.synthesized
            if faults and tries <= self.settings.retries:
                again = dataclasses.replace(one, synthesized=one.synthesized + 1)
                self.waiting.append(again)
                continue
            script = self.requests[one.queued.request].script
            segment = Segment(
                text_tokens=len(one.queued.spoken(self.requests).ids),
                codes=len(one.codes),
                frames=one.frames if len(wave) else 0,
                truncated=any(fault.kind == "endless" for fault in one.faults),
                tries=tries,
                faults=one.faults + faults,
                repeat=longest_repeat(one.codes),
            )
            samples = within_silence(self.model, script, one.queued.index, wave)
            seconds = {name: second / len(group) for name, second in spent.items()}
            made.append((one.place, Part(samples, segment, seconds)))
        return made

    def _waves(self, group: Sequence[DecodedSegment]) -> list[Float32[np.ndarray, " n"]]:
        """The samples of a group; none of a segment without codes."""
        rows = [one.row(self.requests) for one in group if len(one.codes)]
        waves: list[Float32[np.ndarray, " n"]] = []
        while rest := rows[len(waves) :]:
            now = rest[: row_count(len(rest), self.settings.batch)]
            waves += synthesize(self.model, now, self.settings, self.clock)
        made = iter(waves)
        return [next(made) if len(one.codes) else np.zeros(0, np.float32) for one in group]
