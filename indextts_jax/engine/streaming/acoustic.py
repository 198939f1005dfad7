"""From chunks of codes to samples, for any number of streams at once.

The flow is continued, not begun again: the mel so far is further prompt, which is how the flow was
trained. Each call goes a little past its chunk; those frames are made again in the next one, when
what follows them is known. The vocoder holds back what depends on frames that are not known yet.

Arrays between the programs are assembled on the host, so that no shape but the padded ones of the
programs is compiled.
"""

import collections
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from indextts_jax.engine.delivery import row_count
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming.frames import CONTEXT, LOOK_AHEAD
from indextts_jax.engine.streaming.schedule import Costs, Work
from indextts_jax.engine.streaming.segment import Chunk, SegmentStream, Wave
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.utils.stopwatch import Clock


def make_chunks(
    model: Model,
    chunks: Sequence[Chunk],
    settings: Settings,
    clock: Clock,
    costs: Costs | None = None,
    *,
    context: int = CONTEXT,
) -> list[Wave]:
    """The samples of chunks of different streams, in order; each stream then has its mel.

    Chunks of one padded length share a call, at most `settings.batch` of them. `costs` notes what
    each call took.
    """
    costs = costs or Costs()  # nobody's
    for group in _grouped(chunks, _flow_shape(context), settings.batch):
        with clock.stage("latents"):
            _grow(model, group)
        with clock.stage("flow"), costs.flow.timed(sum(_flow_shape(context)(group[0]))):
            conditions = _conditions(model, group)
            mels = _mels(model, group, conditions, settings, context)
        for chunk, mel in zip(group, mels, strict=True):
            chunk.take(mel)
    found: dict[int, Wave] = {}
    for group in _grouped(chunks, _wave_shape, settings.batch):
        with clock.stage("vocoder"), costs.vocoder.timed(_wave_shape(group[0])[0]):
            waves = _waves(model, group)
        found |= {id(chunk): wave for chunk, wave in zip(group, waves, strict=True)}
    return [found[id(chunk)] for chunk in chunks]


def work_of(stream: SegmentStream, context: int = CONTEXT) -> Work:
    """What the next chunk of a stream would need."""
    frame_map = stream.frame_map

    def flow(spoken: int, size: int) -> int:
        start = frame_map.frames(spoken)
        new = frame_map.frames(spoken + size) - start + LOOK_AHEAD
        return stream.prompt.size + frame_map.padded(min(start, context) + new)

    def vocoder(size: int) -> int:
        return frame_map.padded_mel(frame_map.frames(size) + frame_map.reach + frame_map.margin)

    return Work(stream.spoken, len(stream.codes), frame_map.look_ahead, flow, vocoder)


def shapes_of(model: Model, chunk: Chunk) -> list[tuple[object, ...]]:
    """The padded lengths of the programs that make a chunk."""
    codes = bucket(len(chunk.stream.codes), model.buckets.codes)
    return [
        ("condition", codes, bucket(chunk.known, model.buckets.frames)),
        ("flow", *_flow_shape(CONTEXT)(chunk)),
        ("vocoder", *_wave_shape(chunk)),
    ]


def _flow_shape(context: int) -> Callable[[Chunk], tuple[int, int]]:
    """The padded frames of a chunk's prompt, and of the rest of its row."""

    def shape(chunk: Chunk) -> tuple[int, int]:
        first, _, last = _span(chunk, context)
        return chunk.stream.prompt.size, chunk.stream.frame_map.padded(last - first)

    return shape


def _span(chunk: Chunk, context: int) -> tuple[int, int, int]:
    """Frames of the segment: where the context begins, the chunk, and where the row ends."""
    return (
        max(0, chunk.start - context),
        chunk.start,
        chunk.end if chunk.last else min(chunk.end + LOOK_AHEAD, chunk.known),
    )


def _wave_shape(chunk: Chunk) -> tuple[int]:
    first, last = _mel_span(chunk)
    return (chunk.stream.frame_map.padded_mel(last - first),)


def _mel_span(chunk: Chunk) -> tuple[int, int]:
    """The frames that the vocoder reads."""
    stream = chunk.stream
    return max(0, stream.voiced - stream.frame_map.reach), chunk.end


def _grouped(
    chunks: Sequence[Chunk], shape: Callable[[Chunk], tuple[int, ...]], batch: int
) -> list[list[Chunk]]:
    """The chunks in groups of one shape, of as many rows as programs are compiled for."""
    waiting = collections.defaultdict(list)
    for chunk in chunks:
        waiting[shape(chunk)].append(chunk)
    groups = []
    for same in waiting.values():
        while same:
            count = row_count(len(same), batch)
            groups.append(same[:count])
            del same[:count]
    return groups


def _grow(model: Model, chunks: Sequence[Chunk]) -> None:
    streams = [chunk.stream for chunk in chunks]
    growing, codes = [one.growing for one in streams], [one.codes for one in streams]
    version_of(model.config).grow_rows(model, growing, codes)


def _conditions(model: Model, chunks: Sequence[Chunk]) -> list[Float[np.ndarray, "f c"]]:
    """The condition of all frames so far: its norms are over the whole."""
    found = []
    for chunk in chunks:
        stream, buckets = chunk.stream, model.buckets
        rows = stream.growing.rows
        assert rows is not None
        per_code = stream.frame_map.rows_per_code
        size = per_code * bucket(len(stream.codes), buckets.codes)
        condition = stages.regulate_at_ratio(
            model,
            jnp.asarray(pad(rows[None], size)),
            jnp.asarray([len(rows)], jnp.int32),
            jnp.asarray([chunk.known], jnp.int32),
            jnp.asarray([stream.frame_map.ratio], jnp.float32),
            size=bucket(chunk.known, buckets.frames),
        )
        found.append(np.asarray(condition)[0])
    return found


def _mels(
    model: Model,
    chunks: Sequence[Chunk],
    conditions: Sequence[Float[np.ndarray, "f c"]],
    settings: Settings,
    context: int,
) -> list[Float[np.ndarray, "new m"]]:
    """The mel of each chunk, continuing that of its segment."""
    mels, (prompt_size, size) = model.config.mel.mels, _flow_shape(context)(chunks[0])
    whole, count, width = prompt_size + size, len(chunks), conditions[0].shape[1]
    prompt_mel = np.zeros((count, whole, mels), np.float32)
    prompt_condition = np.zeros((count, whole, width), np.float32)
    condition = np.zeros((count, size, width), np.float32)
    prompts, lengths, starts = (np.zeros(count, np.int32) for _ in range(3))
    for row, (chunk, known) in enumerate(zip(chunks, conditions, strict=True)):
        voice, (first, start, last) = chunk.stream.prompt, _span(chunk, context)
        given = len(voice.mel)
        end = given + start - first
        prompt_mel[row, :given], prompt_condition[row, :given] = voice.mel, voice.condition
        if chunk.stream.mel is not None:
            prompt_mel[row, given:end] = chunk.stream.mel[first:start]
            prompt_condition[row, given:end] = known[first:start]
        condition[row, : last - start] = known[start:last]
        prompts[row], lengths[row], starts[row] = end, last - start, first
    keys = jnp.stack([chunk.stream.key for chunk in chunks])
    made = stages.guided_mel(
        model,
        # Each frame has the noise of its place in the whole segment.
        stages.flow_noise(keys, whole, mels, jnp.asarray(starts)),
        prompt_mel,
        prompt_condition,
        prompts,
        condition,
        lengths,
        np.stack([chunk.stream.prompt.style for chunk in chunks]),
        steps=settings.steps,
        guidance=settings.guidance,
    )
    found = np.asarray(jax.block_until_ready(made))
    return [mel[: chunk.end - chunk.start] for chunk, mel in zip(chunks, found, strict=True)]


def _waves(model: Model, chunks: Sequence[Chunk]) -> list[Wave]:
    """The samples that no frame to come can change, or at the end all that are left."""
    (size,), hop = _wave_shape(chunks[0]), model.config.mel.hop
    mels = np.zeros((len(chunks), size, model.config.mel.mels), np.float32)
    lengths = np.zeros(len(chunks), np.int32)
    for row, chunk in enumerate(chunks):
        first, last = _mel_span(chunk)
        assert chunk.stream.mel is not None
        mels[row, : last - first], lengths[row] = chunk.stream.mel[first:last], last - first
    waves = np.asarray(stages.vocode(model, jnp.asarray(mels), jnp.asarray(lengths)))
    found = []
    for chunk, wave in zip(chunks, waves, strict=True):
        stream, (first, last) = chunk.stream, _mel_span(chunk)
        start = stream.voiced
        end = last if chunk.last else max(start, last - stream.frame_map.margin)
        samples: Float32[np.ndarray, " n"] = wave[(start - first) * hop : (end - first) * hop]
        stream.voiced = end
        found.append(Wave(samples, start, end))
    return found
