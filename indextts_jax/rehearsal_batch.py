"""Compiles what speaking several segments at once may need: see `rehearsal`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.batch import row_count, slot_count
from indextts_jax.batch_stages import Finished, Line, conditioned, waves_of
from indextts_jax.buckets import bucket
from indextts_jax.clock import Clock
from indextts_jax.pipeline import emotion_vector
from indextts_jax.prompts import Voice
from indextts_jax.rehearsal import Rehearsal, Step, code_counts, spoken_frames, text_lengths
from indextts_jax.sampling import slots
from indextts_jax.sampling.loop import windows
from indextts_jax.settings import Settings, code_limit, segment_limit
from indextts_jax.stages import segment_keys, text_ladder


def batch_steps(
    model: Rehearsal, voice: Voice, settings: Settings, *, largest: bool = False
) -> list[Step]:
    """What speaking several segments at once may need with voices of this length."""
    batch = settings.batch
    sizes = sorted({slot_count(waiting, batch) for waiting in range(1, batch + 1)})
    rows = sorted({row_count(waiting, batch) for waiting in range(1, batch + 1)})
    most = segment_limit(model, settings.segment_tokens)
    rungs = {bucket(n, text_ladder(model)): n for n in text_lengths(model, settings)}
    emotion = emotion_vector(model, voice, None, None, None)
    sampling = settings.sampling_up_to(code_limit(model, settings))
    ladder = list(windows(sampling.max_codes))
    counts = code_counts(model, voice, settings)
    if largest:
        sizes, rows, counts = [max(sizes)], [max(rows)], [code_limit(model, settings)]
        rungs, ladder = {max(rungs): most}, [ladder[0], ladder[-1]][-len(ladder) :]

    def decoding(size: int, rung: int) -> None:
        strategy = {"strategy": sampling.strategy}
        line = Line([0] * min(rung, most), voice, emotion)
        begin: Any = functools.partial(model.run, "gpt", slots.empty, sampling.numbers)
        key = segment_keys(0, 0)[0]
        for window in ladder:
            state = begin(slots=size, text_size=rung, window=ladder[0], **strategy)
            if window != ladder[0]:
                cache = model.run("gpt", slots.resize, state.cache, window=window)
                state = state._replace(cache=cache)
            for count in {1, size}:
                state = model.run(
                    "gpt",
                    slots.insert,
                    state,
                    jnp.zeros(count, jnp.int32),
                    *conditioned(model, [line] * count, text_size=rung),
                    jnp.stack([key] * count),
                    jax.tree.map(lambda one: jnp.stack([one] * count), sampling.numbers),  # noqa: B023
                    **strategy,
                )
            state, _ = model.run("gpt", slots.run, state, **strategy)
            for other in ladder:
                if other != window:
                    model.run("gpt", slots.resize, state.cache, window=other)

    def sound(count: int, number: int) -> None:
        frames, key = spoken_frames(model, count, settings), segment_keys(0, 0)[1]
        for tokens in rungs.values():
            line = Line([0] * tokens, voice, emotion)
            one = Finished(line, np.zeros(count, np.int32), frames, key)
            waves_of(model, [one] * number, settings, Clock())

    return [
        *(
            Step(
                f"codes of {size} segments with {rung} text tokens",
                functools.partial(decoding, size, rung),
            )
            for size in sizes
            for rung in rungs
        ),
        *(
            Step(
                f"the sound of {number} segments of {count} codes",
                functools.partial(sound, count, number),
            )
            for number in rows
            for count in counts
        ),
    ]
