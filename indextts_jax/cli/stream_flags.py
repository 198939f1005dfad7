"""Flags for speech in chunks, and the loop that hands them out."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from absl import flags as absl_flags

from indextts_jax.audio.output import raw
from indextts_jax.cli.terminal import note
from indextts_jax.engine.alignment.words import merged
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.streaming.chunks import SEAMS, Chunks, Sound
from indextts_jax.engine.streaming.listener import Listener
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure, InputError
from indextts_jax.utils.stopwatch import StageCallback

FLAGS = ("stream", "first_chunk", "seams")


def define(flags: absl_flags.FlagValues) -> None:
    """Defines the flags."""
    own: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_bool(
        "stream", False, "Speak in chunks, the first before its sentence is finished.", **own
    )
    absl_flags.DEFINE_integer(
        "first_chunk", None, "Codes of the first chunk; by default 50, with fast seams 25.", **own
    )
    absl_flags.DEFINE_enum(
        "seams", "exact", list(SEAMS), "How chunks meet; fast is earlier by 0.2 s.", **own
    )


def with_chunks(flags: Any, settings: Settings) -> Settings:
    """The settings with the chunks of the flags, or without any.

    Raises:
        InputError: for flags without --stream, a size that no chunk has, or a duration.
    """
    if flags.stream:
        return dataclasses.replace(
            settings, chunks=Chunks(first=flags.first_chunk, seams=flags.seams)
        )
    for name in FLAGS[1:]:
        if flags[name].present:
            raise InputError(f"--{name} needs --stream")
    return dataclasses.replace(settings, chunks=None)


def speak(
    tts: IndexTTS,
    request: Request,
    on_stage: StageCallback | None,
    pipe: Any = None,
    *,
    timings: bool = False,
) -> Speech:
    """The speech of a request in chunks, each written to a binary `pipe` as soon as it is made.

    When sounds came, and how often playing would have stopped, is printed to standard error.

    Raises:
        Failure: if the model says nothing at all.
    """
    listener = Listener(time.monotonic())
    sounds: list[Sound] = []
    for sound in piped(tts.stream(request, timings=timings, on_stage=on_stage), pipe):
        if not sounds and sound.prebuffer:
            listener.prebuffer = sound.prebuffer
            note(f"slower than real time: wait {sound.prebuffer:.1f} s before playing")
        listener.hear(time.monotonic(), len(sound.samples) / tts.sample_rate)
        sounds.append(sound)
    speech = joined(tts, sounds, request.text)
    note(listener.report)
    return speech


def piped(sounds: Generator[Sound, None, None], pipe: Any) -> Generator[Sound, None, None]:
    """The sounds, each written to a binary `pipe`, if there is one, as soon as it is made."""
    with contextlib.closing(sounds):
        for sound in sounds:
            if pipe is not None:
                pipe.write(raw(sound.samples))
                pipe.flush()
            yield sound


def joined(tts: IndexTTS, sounds: Sequence[Sound], text: str) -> Speech:
    """The speech of a text, from all its sounds.

    Raises:
        Failure: if the model said nothing at all.
    """
    segments = tuple(sound.final for sound in sounds if sound.final is not None)
    if not any(segment.codes for segment in segments):
        raise Failure("the model said nothing at all: try another seed")
    seconds: dict[str, float] = {}
    for sound in sounds:
        for stage, spent in sound.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    samples = np.concatenate([sound.samples for sound in sounds])
    last = [sound.words for sound in sounds if sound.final is not None]
    timed = [words for words in last if words is not None]
    words = merged(itertools.chain(*timed)) if len(timed) == len(last) else None
    return Speech(samples, tts.sample_rate, segments, seconds, text, words)
