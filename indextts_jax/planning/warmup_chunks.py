"""Compiles what speaking in chunks may need in addition; see `warmup`."""

import functools
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from indextts_jax.engine.acoustic import Line, condition_rows
from indextts_jax.engine.decoding import Queue, SlotDecoder
from indextts_jax.engine.pace import Timing, frames_of
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.streaming.acoustic import make_chunks, shapes_of
from indextts_jax.engine.streaming.chunks import SIZES, UNIT
from indextts_jax.engine.streaming.frames import FrameMap, frame_map
from indextts_jax.engine.streaming.schedule import Costs, costs_of
from indextts_jax.engine.streaming.segment import SegmentStream, host_prompt
from indextts_jax.planning.dry_run import DryRunModel
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.interface import GrowingRows
from indextts_jax.runtime.versions.latent_rows import INCREMENTS, capacities
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.sampling import slots as slot_loop
from indextts_jax.sampling.loop import windows
from indextts_jax.utils.stopwatch import Clock

MEASURED = 50  # codes, of one segment


class Case(NamedTuple):
    """A chunk that a segment may have."""

    spoken: int  # codes before it
    known: int
    size: int
    ended: bool


def warm_codes(model: DryRunModel, line: Line, settings: Settings, slots: int, text: int) -> None:
    """Compiles bounded steps of slots, what is agreed in them, and rows of agreed codes."""
    sampling = settings.sampling_up_to(max_codes_of(model, settings))
    caches, strategy = list(windows(sampling.max_codes)), sampling.strategy
    numbers = sampling.numbers
    conditions = condition_rows(model, [line], text_size=text)
    prefix = None
    for window in caches:
        state = stages.empty_slots(
            model, numbers, slots=slots, text_size=text, window=caches[0], strategy=strategy
        )
        if window != caches[0]:
            cache = stages.resize_slots(model, state.cache, window=window)
            state = state._replace(cache=cache)
        for count in {1, slots}:
            rows = condition_rows(model, [line] * count, text_size=text)
            state = stages.fill_slots(
                model,
                state,
                jnp.zeros(count, jnp.int32),
                *rows.common,
                jnp.stack([segment_keys(0, 0)[0]] * count),
                type(numbers)(*(jnp.stack([number] * count) for number in numbers)),
                rows.languages,
                strategy=strategy,
            )
        state, _ = stages.run_slots(model, state, jnp.asarray(1, jnp.int32), strategy=strategy)
        stages.agreed_codes(model, state, strategy=strategy)
        slot_loop.drop(state, jnp.zeros(slots, bool))
        prefix = stages.slot_prefix(model, state, jnp.asarray(0, jnp.int32))
        for other in caches:
            if other != window:
                stages.resize_slots(model, state.cache, window=other)
    # Codes one unit at a time, and then all at once, reach every increment and capacity.
    version, most = version_of(model.config), sampling.max_codes
    growing = GrowingRows(conditions, prefix)
    for known in (*range(UNIT, most, UNIT), most):
        version.grow_rows(model, [growing], [np.zeros(known, np.int32)])
    version.grow_rows(model, [GrowingRows(conditions, prefix)], [np.zeros(most, np.int32)])
    # And many at once behind those that were there, in every capacity.
    for capacity in capacities(model):
        known = min(capacity, most) - INCREMENTS[0]
        if known > 0:
            growing = GrowingRows(conditions, prefix)
            for count in (known, known + INCREMENTS[0]):
                version.grow_rows(model, [growing], [np.zeros(count, np.int32)])


def cases(model: Model, frames: FrameMap, settings: Settings) -> Iterator[Case]:
    """Chunks of every kind, ended or not, up to the longest segment."""
    assert settings.chunks is not None
    most = max_codes_of(model, settings)
    for spoken in range(0, most, UNIT):
        for size in SIZES if spoken else [settings.chunks.first_codes]:
            known = spoken + size + frames.look_ahead
            if known <= most:
                yield Case(spoken, known, size, False)
            for last in range(spoken + 1, min(known + UNIT, most + 1)):
                yield Case(spoken, last, size, True)


def warm_sound(model: Model, line: Line, settings: Settings, costs: Costs | None = None) -> None:
    """Compiles the flow and the vocoder for every padded length of a chunk.

    Outside of a dry run they run, and it notes in `costs` what they take.
    """
    assert settings.chunks is not None
    found = frame_map(model, settings.timing, settings.chunks)
    prompt = host_prompt(line.voice)
    seen: set[tuple[object, ...]] = set()
    timing = Timing(speed=settings.timing.pace)
    features = model.config.length_regulator.features
    for case in cases(model, found, settings):
        codes = np.zeros(case.known, np.int32)
        rows = np.zeros((found.rows_per_code * case.known, features), np.float32)
        growing = GrowingRows(condition_rows(model, [line]), codes=codes, rows=rows)
        stream = SegmentStream(segment_keys(0, 0)[1], found, growing, prompt, codes)
        if case.ended:
            (stream.frames,) = frames_of([case.known], timing, 0, model.config)
        if case.spoken:
            start = found.frames(case.spoken)
            stream.mel = np.zeros((start, model.config.mel.mels), np.float32)
            stream.spoken, stream.voiced = case.spoken, max(0, start - found.margin)
        if case.ended and not stream.fits(case.size):
            continue
        chunk = stream.cut(case.size)
        if new := set(shapes_of(model, chunk)) - seen:
            seen |= new
            make_chunks(model, [chunk], settings, Clock(), costs)


def measure_chunks(model: Model, line: Line, settings: Settings) -> None:
    """Measures what codes, flow and vocoder take, so that a first stream is planned by it.

    Everything must be compiled already.
    """
    costs = costs_of(model)
    warm_sound(model, line, settings, costs)
    most = min(MEASURED, max_codes_of(model, settings))
    waiting, text = [line], bucket(len(line.tokens), model.buckets.text)
    queue: Queue[Line] = Queue(
        take=lambda: waiting.pop() if waiting else None,
        line=lambda line: line,
        key=lambda line: segment_keys(0, 0)[0],
    )
    sampling = settings.sampling_up_to(max_codes_of(model, settings))
    decoder = SlotDecoder(model, queue, sampling, 1, text, Clock())
    decoder.fill()
    begin = time.perf_counter()
    decoder.step(most)
    if (made := int(decoder.agreed().lengths[0])) > 0:
        costs.codes.note(1, (time.perf_counter() - begin) / made)


def chunk_steps(
    model: DryRunModel, lines: Sequence[tuple[Line, int]], settings: Settings, slots: Sequence[int]
) -> list[tuple[str, functools.partial]]:
    """What to compile, with descriptions: lines with their padded lengths, numbers of slots."""
    return [
        *(
            (
                f"codes of {size} streams with {text} text tokens",
                functools.partial(warm_codes, model, line, settings, size, text),
            )
            for line, text in lines
            for size in slots
        ),
        ("chunks of sound", functools.partial(warm_sound, model, lines[-1][0], settings)),
    ]
