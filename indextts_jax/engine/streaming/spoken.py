"""A segment of a stream from its codes to its sounds, whoever decodes and synthesizes it.

one = SpokenSegment.begin(model, request, queued, settings, frame_map, text_size)
one.stream.growing.prefix = decoder.prefix(place)  # before its slot is filled again
one.agree(codes, decided=...)     # after every few steps of its slot
one.finish(codes, truncated)      # when the search has ended
one.retry                         # or None: put this into the queue instead
one.whole(size)                   # it is short: synthesize `one.row()` as `speak` does
one.sound_of_whole(wave)          # or None: synthesize it again
one.ready(size); one.cut(size)    # else a chunk for `make_chunks`
one.sound(wave)

If the request has words, the last sound has their times.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.engine.acoustic import SynthesisRow, attention_of, condition_rows
from indextts_jax.engine.alignment.words import (
    heads_of,
    segment_times,
    timing_faults,
    words_in_part,
)
from indextts_jax.engine.delivery import QueuedSegment, ScriptRequest
from indextts_jax.engine.faults import Fault, longest_repeat, runaway_limit, sample_faults
from indextts_jax.engine.parts import edges_of, frames_for, judge, within_edges
from indextts_jax.engine.seeds import next_seed, segment_keys
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Segment, hash_codes
from indextts_jax.engine.streaming.frames import FrameMap
from indextts_jax.engine.streaming.segment import Chunk, SegmentStream, Wave, host_prompt
from indextts_jax.models.gpt import Heads
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.interface import GrowingRows
from indextts_jax.timings.words import SegmentTimes, Word


@dataclasses.dataclass
class Output:
    """The next samples of a segment, as they are played."""

    samples: Float32[np.ndarray, " n"]
    seams: tuple[int, ...]  # frames of the segment among them where chunks meet
    final: Segment | None  # with the last ones
    words: tuple[Word, ...] | None = None  # with the last ones, in seconds of the segment's part


@dataclasses.dataclass
class SpokenSegment:
    """A segment between its first step and its last sound."""

    model: Model
    request: ScriptRequest
    queued: QueuedSegment
    settings: Settings
    stream: SegmentStream
    most: int  # codes by which all must be said
    finished: bool = False  # the search has ended, or was cut
    truncated: bool = False
    faults: tuple[Fault, ...] = ()
    again: bool = False  # whether the codes were so faulty that they are drawn anew
    synthesized: int = 0  # attempts that gave samples with faults
    _raw: list[Float32[np.ndarray, " n"]] = dataclasses.field(default_factory=list)

    @classmethod
    def begin(
        cls,
        model: Model,
        request: ScriptRequest,
        queued: QueuedSegment,
        settings: Settings,
        frame_map: FrameMap,
        text_size: int,
    ) -> "SpokenSegment":
        """The segment of an attempt, without codes; `text_size` is that of its slot."""
        line = queued.line([request])
        key = segment_keys(next_seed(request.seed, queued.attempt), queued.index)[1]
        growing = GrowingRows(condition_rows(model, [line], text_size))
        stream = SegmentStream(key, frame_map, growing, host_prompt(line.voice))
        most = runaway_limit(queued.spoken([request]), model.config.codes_per_second)
        return cls(model, request, queued, settings, stream, most)

    def agree(self, codes: Int[np.ndarray, " n"], *, decided: bool) -> None:
        """Takes the codes that are certain so far; `decided` says that there will be no more.

        Codes beyond the time in which all must be said end the segment, too. The slot of a
        `finished` segment can be freed.
        """
        if decided or len(codes) > self.most:
            self.finish(codes, truncated=False)
        else:
            self.stream.extend(codes)

    def finish(self, codes: Int[np.ndarray, " n"], truncated: bool) -> None:
        """Takes the codes of the finished search."""
        spoken = self.queued.spoken([self.request])
        attempt = self.queued.attempt
        kept, self.faults, again = judge(
            self.model, spoken, codes, attempt, self.settings, truncated=truncated
        )
        (frames,) = frames_for(self.model, self.request.script, [len(kept)], self.settings)
        self.stream.end(kept, frames if len(kept) else 0)
        self.truncated = any(fault.kind == "endless" for fault in self.faults)
        self.finished, self.again = True, again

    @property
    def begun(self) -> bool:
        """Whether something of it was made, so that it is not retried."""
        return bool(self.stream.spoken)

    @property
    def retry(self) -> QueuedSegment | None:
        """The next attempt, if this one had faults before it had any sound."""
        if not self.again or self.begun:
            return None
        return dataclasses.replace(self.queued, attempt=self.queued.attempt + 1)

    def whole(self, size: int) -> bool:
        """Whether it ended within a first chunk of `size` codes and what that needs."""
        return not self.begun and self.finished and self.stream.fits(size)

    def row(self) -> SynthesisRow | None:
        """What `acoustic.synthesize` makes the whole segment from; None without codes."""
        codes, frames = self.stream.codes, self.stream.frames
        assert frames is not None
        if not len(codes):
            return None
        seed = next_seed(self.request.seed, self.queued.attempt + self.synthesized)
        key = segment_keys(seed, self.queued.index)[1]
        return SynthesisRow(self.queued.line([self.request]), codes, frames, key)

    @property
    def heads(self) -> Heads:
        """The heads whose attention gives the times of words, if these are requested."""
        return heads_of(self.model) if self.request.words is not None else ()

    def sound_of_whole(
        self,
        wave: Float32[np.ndarray, " n"],
        attention: Float32[np.ndarray, "s t"] | None = None,
    ) -> Output | None:
        """The sound of the whole segment; None if it has faults and is to be synthesized again."""
        faults = sample_faults(wave) if len(wave) else ()
        if faults and self.queued.attempt + 1 + self.synthesized <= self.settings.retries:
            self.synthesized += 1
            return None
        self.stream.voiced = self.stream.frames or 0
        edges = edges_of(self.model, self.request.script, self.queued.index)
        times = self._times(wave, attention, whole=True)
        samples = within_edges(self.model, edges, wave)
        return Output(samples, (), self._segment(faults, times), self._words(times))

    def ready(self, size: int) -> bool:
        """Whether a chunk of `size` codes can be made now."""
        return not self.stream.wanted(size)

    def cut(self, size: int) -> Chunk:
        """The next chunk."""
        return self.stream.cut(size)

    def sound(self, wave: Wave) -> Output:
        """The sound of a chunk's samples; the first and the last with the silence around them."""
        self._raw.append(wave.samples)
        last = self.stream.complete
        edges = edges_of(self.model, self.request.script, self.queued.index)
        samples = within_edges(
            self.model, edges, wave.samples, first=len(self._raw) == 1, last=last
        )
        seams = tuple(seam for seam in self.stream.seams if wave.start <= seam < wave.end)
        if not last:
            return Output(samples, seams, None)
        whole = np.concatenate(self._raw)
        times = self._times(whole, self._attention(), whole=False)
        final = self._segment(sample_faults(whole), times)
        return Output(samples, seams, final, self._words(times))

    def _attention(self) -> Float32[np.ndarray, "s t"] | None:
        """The attention of all codes to the text, from a pass over them when all are known."""
        row, heads = self.row(), self.heads
        if row is None or not heads:
            return None
        (attention,) = attention_of(self.model, [row], heads)
        return attention

    def _times(
        self,
        wave: Float32[np.ndarray, " n"],
        attention: Float32[np.ndarray, "s t"] | None,
        *,
        whole: bool,
    ) -> SegmentTimes | None:
        """The times of the words; chunks have frames of their own, see `frames`."""
        if self.request.words is None:
            return None
        codes, index = len(self.stream.codes), None
        if not whole:
            index = self.stream.frame_map.rows(self.stream.frames or 0, codes)
        words, spoken = self.request.words[self.queued.index], self.queued.spoken([self.request])
        return segment_times(self.model, words, spoken, codes, wave, attention, index)

    def _words(self, times: SegmentTimes | None) -> tuple[Word, ...] | None:
        return words_in_part(self.model, self.request.script, self.queued.index, times)

    def _segment(self, faults: tuple[Fault, ...], times: SegmentTimes | None) -> Segment:
        codes = self.stream.codes
        return Segment(
            text_tokens=len(self.queued.spoken([self.request]).ids),
            codes=len(codes),
            frames=self.stream.frames or 0,
            truncated=self.truncated,
            tries=self.queued.attempt + 1 + self.synthesized,
            faults=self.faults + faults + timing_faults(times),
            repeat=longest_repeat(codes),
            codes_hash=hash_codes(codes),
        )
