"""The scheduler: scripts in, parts out, one segment after the other or many at once.

Queued segments are text only. They enter the decoding loop longest first; a finished row frees its
slot for the next segment. Flow and vocoder then run on groups of similar length.
"""

import collections
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.engine.acoustic import Line, SynthesisRow, synthesize, synthesize_aligned
from indextts_jax.engine.alignment.words import (
    TextWords,
    heads_of,
    segment_times,
    timing_faults,
    words_in_part,
)
from indextts_jax.engine.decoding import Decoded, Queue, SlotDecoder, decode_in_turn
from indextts_jax.engine.faults import Fault, longest_repeat, sample_faults
from indextts_jax.engine.parts import Part, Progress, frames_for, judge, within_silence
from indextts_jax.engine.seeds import next_seed, segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.speech import Segment, hash_codes
from indextts_jax.models.gpt import Heads
from indextts_jax.runtime.buckets import bucket, flow_size
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True)
class ScriptRequest:
    """A request ready for the scheduler: its text cut into segments, its emotion a vector."""

    script: Script
    voice: Voice
    emotion: Float[Array, "1 d"]
    seed: int
    language_of: Callable[[Spoken], int | None] = lambda spoken: None  # see `Version.language_of`
    words: TextWords | None = None  # whose times are requested, by segment


Requests = Sequence[ScriptRequest] | Mapping[int, ScriptRequest]


@dataclasses.dataclass(frozen=True, order=True)
class QueuedSegment:
    """A segment waiting to be decoded."""

    request: int
    index: int  # in its script
    attempt: int = 0

    def spoken(self, requests: Requests) -> Spoken:
        return requests[self.request].script.segments[self.index]

    def seed(self, requests: Requests) -> int:
        return next_seed(requests[self.request].seed, self.attempt)

    def line(self, requests: Requests) -> Line:
        request, spoken = requests[self.request], self.spoken(requests)
        return Line(spoken.ids, request.voice, request.emotion, request.language_of(spoken))


@dataclasses.dataclass(frozen=True)
class DecodedSegment:
    """A segment with its codes, waiting to be synthesized."""

    queued: QueuedSegment  # its last attempt
    codes: Int[np.ndarray, " n"]
    faults: tuple[Fault, ...]
    frames: int
    synthesized: int = 0  # attempts that gave samples with faults

    @property
    def place(self) -> tuple[int, int]:
        """Index of its request, and its index in the script."""
        return self.queued.request, self.queued.index

    @property
    def tries(self) -> int:
        """Attempts so far, each with its own seed."""
        return self.queued.attempt + 1 + self.synthesized

    def row(self, requests: Requests) -> SynthesisRow:
        attempt = self.queued.attempt + self.synthesized
        seed = next_seed(requests[self.queued.request].seed, attempt)
        key = segment_keys(seed, self.queued.index)[1]
        return SynthesisRow(self.queued.line(requests), self.codes, self.frames, key)


def part_of(
    model: Model,
    requests: Requests,
    one: DecodedSegment,
    wave: Float32[np.ndarray, " n"],
    faults: tuple[Fault, ...],
    seconds: dict[str, float],
    attention: Float32[np.ndarray, "s t"] | None = None,
) -> Part:
    """The part of a segment; `faults` are those of its samples, `seconds` its share of compute.

    `attention`, of its codes to its text tokens, gives the times of its words, if the request has
    words. Without it they are an estimate.
    """
    request, index = requests[one.queued.request], one.queued.index
    spoken = one.queued.spoken(requests)
    times = None
    if request.words is not None:
        words = request.words[index]
        times = segment_times(model, words, spoken, len(one.codes), wave, attention)
    segment = Segment(
        text_tokens=len(spoken.ids),
        codes=len(one.codes),
        frames=one.frames if len(wave) else 0,
        truncated=any(fault.kind == "endless" for fault in one.faults),
        tries=one.tries,
        faults=one.faults + faults + timing_faults(times),
        repeat=longest_repeat(one.codes),
        codes_hash=hash_codes(one.codes),
    )
    placed = words_in_part(model, request.script, index, times)
    samples = within_silence(model, request.script, index, wave)
    return Part(samples, segment, seconds, placed)


def sounds_of(
    model: Model,
    requests: Requests,
    group: Sequence[DecodedSegment],
    settings: Settings,
    clock: Clock,
    heads: Heads = (),
) -> list[tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, "s t"] | None]]:
    """The samples of a group, and with heads the attention of codes to text tokens.

    A segment without codes has neither.
    """
    rows = [one.row(requests) for one in group if len(one.codes)]
    sounds: list[tuple[np.ndarray, np.ndarray | None]] = []
    while rest := rows[len(sounds) :]:
        now = rest[: row_count(len(rest), settings.batch)]
        if heads:
            sounds += synthesize_aligned(model, now, settings, clock, heads)
        else:
            sounds += [(wave, None) for wave in synthesize(model, now, settings, clock)]
    made = iter(sounds)
    silent = np.zeros(0, np.float32)
    return [next(made) if len(one.codes) else (silent, None) for one in group]


def row_count(waiting: int, batch: int) -> int:
    """Rows to run together: a full batch, else a power of two, so that few shapes are compiled."""
    return batch if waiting >= batch else 1 << (waiting.bit_length() - 1)


def slot_count(waiting: int, batch: int, mesh: Mesh | None = None) -> int:
    """Slots to decode in: the next power of two that holds what is waiting, at most `batch`.

    With several devices the number is rounded up, so that each gets the same.
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
    """Indices of the segments to synthesize together now; empty to wait for more.

    A group shares one padded flow length (`sizes`). It runs when it is full or contains the segment
    `first`, which must be delivered next; if no more segments will come (`last`), the longest runs.
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
    done: Collection[tuple[int, int]] = (),
) -> Iterator[tuple[int, int, Part]]:
    """Yields the parts of scripts as they are ready, each with its request and segment index.

    At most `settings.batch` segments are spoken at once. With `in_order` the parts come in text
    order, each as early as possible; otherwise full groups run first. The schedule does not depend
    on timing: the same requests give the same bits.

    A segment with faults is retried with the next seed, `settings.retries` times at most (a segment
    without any code at least `EMPTY_TRIES` times). The last attempt is used, with its faults.

    Segments that are `done`, by request and index, are left out.

    Raises:
        InputError: for a duration that cannot be met.
    """
    return _Delivery(model, requests, settings, clock, progress, in_order, done).parts()


class _Delivery:
    """The state of `deliver` between two parts."""

    def __init__(
        self,
        model: Model,
        requests: Sequence[ScriptRequest],
        settings: Settings,
        clock: Clock,
        progress: Progress | None,
        in_order: bool,
        done: Collection[tuple[int, int]] = (),
    ):
        self.model, self.requests, self.settings, self.clock = model, requests, settings, clock
        segments = [
            QueuedSegment(number, index)
            for number, request in enumerate(requests)
            for index in range(len(request.script.segments))
            if (number, index) not in done
        ]
        self.order = collections.deque(segments) if in_order else None
        if not in_order:
            segments.sort(key=lambda segment: -len(segment.spoken(requests).ids))
        self.queue = collections.deque(segments)
        self.count, self.done = len(segments), 0
        self.progress = progress or (lambda done, of: None)
        self.decoded: dict[int, list[tuple[QueuedSegment, np.ndarray, tuple[Fault, ...]]]] = {}
        self.waiting: list[DecodedSegment] = []
        self.held: dict[
            tuple[int, int], Part
        ] = {}  # in order: parts that are ready before their turn
        self.before: dict[str, float] = {}
        timed = any(request.words is not None for request in requests)
        self.heads = heads_of(model) if timed else ()

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        self.progress(0, self.count)
        rows = self._decoder()
        while True:
            # The default device is thread-local, and between two parts it is the caller's.
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
        """Decodes the queue until it is empty."""
        requests, settings = self.requests, self.settings
        queue = Queue(
            take=self._take,
            line=lambda segment: segment.line(requests),
            key=lambda segment: segment_keys(segment.seed(requests), segment.index)[0],
        )
        sampling = settings.sampling_up_to(max_codes_of(self.model, settings))
        if settings.batch == 1 or not self.queue:
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
        """Passes a segment on to synthesis, or back into the queue for a retry."""
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
        """Places of the parts that may be yielded now."""
        if self.order is None:
            yield from list(self.held)
            return
        while self.order and (place := (self.order[0].request, self.order[0].index)) in self.held:
            self.order.popleft()
            yield place

    def _synthesized(self, *, last: bool) -> list[tuple[tuple[int, int], Part]] | None:
        """Synthesizes the next group; returns its parts, without those to be retried."""
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
        sounds = sounds_of(self.model, self.requests, group, self.settings, self.clock, self.heads)
        spent = {n: s - self.before.get(n, 0.0) for n, s in self.clock.seconds.items()}
        self.before = dict(self.clock.seconds)
        made = []
        for one, (wave, attention) in zip(group, sounds, strict=True):
            faults = sample_faults(wave) if len(wave) else ()
            if faults and one.tries <= self.settings.retries:
                again = dataclasses.replace(one, synthesized=one.synthesized + 1)
                self.waiting.append(again)
                continue
            seconds = {name: second / len(group) for name, second in spent.items()}
            part = part_of(self.model, self.requests, one, wave, faults, seconds, attention)
            made.append((one.place, part))
        return made
