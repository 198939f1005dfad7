"""From a script to samples: frames, silences, faults and further tries."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.engine.acoustic import Codes, codes_to_wave
from indextts_jax.engine.decoding import speech_codes
from indextts_jax.engine.faults import (
    EMPTY_TRIES,
    Fault,
    code_limit,
    faded,
    length_faults,
    playable,
    sample_faults,
)
from indextts_jax.engine.pace import frames_of
from indextts_jax.engine.seeds import next_seed, segment_keys
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Segment
from indextts_jax.models.length_regulator import target_length
from indextts_jax.runtime.model import Model
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice

Progress = Callable[[int, int], None]  # segments that are done, of how many


@dataclasses.dataclass(frozen=True)
class Part:
    """One segment's samples with the silence around it, in [-1, 1]; parts join without a gap."""

    samples: Float32[np.ndarray, " n"]
    segment: Segment
    seconds: dict[str, float]  # of compute, by stage


@dataclasses.dataclass(frozen=True)
class _Coded:
    """A segment's codes, after how many tries they came, and what is wrong with their number."""

    spoken: Spoken
    codes: Codes
    tries: int
    faults: tuple[Fault, ...]


def deliver(
    model: Model,
    script: Script,
    voice: Voice,
    emotion: Float[Array, "1 d"],
    settings: Settings,
    seed: int,
    clock: Clock,
    progress: Progress | None = None,
) -> Iterator[Part]:
    """The parts of a script, one after the other.

    A segment with faults is tried again with the next seed, as often as the settings allow (if it
    gave no code at all, a few times anyway); the last try counts, and keeps its faults.

    Raises:
        InputError: for a duration that cannot be met.
    """
    count = len(script.segments)
    tell = progress or (lambda done, of: None)

    def label(index: int) -> str:
        return f" {index + 1}/{count}" if count > 1 else ""

    def coded() -> Iterator[_Coded]:
        for index, spoken in enumerate(script.segments):
            clock.label = label(index)
            # The default device is a thread's own setting, and between two parts the caller's.
            with jax.default_device(model.device):
                one = _coded(model, spoken, voice, emotion, settings, seed, index, clock)
            yield one

    def frames(group: Sequence[_Coded]) -> list[int]:
        return frames_for(model, script, [one.codes.count for one in group], settings)

    runs: Iterator[tuple[_Coded, int]]
    if settings.timing.duration is None:
        runs = ((one, frames([one])[0]) for one in coded())
    else:
        every = list(coded())
        runs = zip(every, frames(every), strict=True)
    tell(0, count)
    before = dict[str, float]()
    for index, (one, size) in enumerate(runs):
        clock.label = label(index)
        with jax.default_device(model.device):
            wave, tries, faults = _wave(
                model, one, voice, emotion, size, settings, seed, index, clock
            )
        spent = {name: clock.seconds[name] - before.get(name, 0.0) for name in clock.seconds}
        before = dict(clock.seconds)
        segment = Segment(
            text_tokens=len(one.spoken.ids),
            codes=one.codes.count,
            frames=size if len(wave) else 0,
            truncated=any(fault.kind == "endless" for fault in one.faults),
            tries=one.tries + tries - 1,
            faults=one.faults + faults,
        )
        tell(index + 1, count)
        yield Part(within_silence(model, script, index, wave), segment, spent)


def _silences(model: Model, script: Script) -> list[int]:
    """Samples of silence behind each segment."""
    return [int(model.config.mel.sample_rate * spoken.pause) for spoken in script.segments]


def frames_for(
    model: Model, script: Script, counts: Sequence[int], settings: Settings
) -> list[int]:
    """Mel frames for segments of so many codes: of all, or with a speed of any of them.

    Raises:
        InputError: for a duration that cannot be met.
    """
    mel = model.config.mel
    silence = int(mel.sample_rate * script.lead) + sum(_silences(model, script))
    return frames_of(counts, settings.timing, silence, mel.sample_rate, mel.hop)


def within_silence(
    model: Model, script: Script, index: int, wave: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, " k"]:
    """A segment's samples as they are played, with the silence around them."""
    rate, silences = model.config.mel.sample_rate, _silences(model, script)
    start = index == 0 or silences[index - 1] > 0
    end = index == len(silences) - 1 or silences[index] > 0
    ahead = np.zeros(int(rate * script.lead) if index == 0 else 0, np.float32)
    wave = faded(playable(wave), rate, start=start, end=end)
    return np.concatenate([ahead, wave, np.zeros(silences[index], np.float32)])


def _coded(
    model: Model,
    spoken: Spoken,
    voice: Voice,
    emotion: Float[Array, "1 d"],
    settings: Settings,
    seed: int,
    index: int,
    clock: Clock,
) -> _Coded:
    for attempt in itertools.count():
        keys = segment_keys(next_seed(seed, attempt), index)
        with clock.stage("codes"):
            ids, truncated = speech_codes(model, spoken.ids, voice, emotion, settings, keys[0])
        kept, faults, again = judge(model, spoken, ids, attempt, settings, truncated=truncated)
        if not again:
            break
    return _Coded(spoken, Codes.padded(model, kept), attempt + 1, faults)


def judge(
    model: Model,
    spoken: Spoken,
    ids: Int[np.ndarray, " n"],
    attempt: int,
    settings: Settings,
    *,
    truncated: bool,
) -> tuple[Int[np.ndarray, " k"], tuple[Fault, ...], bool]:
    """The codes that are kept of a try (from 0), what is wrong with them, and whether to try again.

    `truncated` says that the limit came before a stop code.
    """
    mel, most = model.config.mel, code_limit(spoken)
    cut, ids = len(ids) > most, ids[:most]
    seconds = target_length(len(ids)) * mel.hop / mel.sample_rate if len(ids) else 0.0
    faults = length_faults(seconds, spoken.duration, truncated=truncated, cut=cut)
    allowed = settings.retries if len(ids) else max(settings.retries, EMPTY_TRIES)
    return ids, faults, bool(faults) and attempt < allowed


def _wave(
    model: Model,
    coded: _Coded,
    voice: Voice,
    emotion: Float[Array, "1 d"],
    frames: int,
    settings: Settings,
    seed: int,
    index: int,
    clock: Clock,
) -> tuple[Float32[np.ndarray, " n"], int, tuple[Fault, ...]]:
    """The samples, after how many tries, and what is wrong with them."""
    if not coded.codes.count:
        return np.zeros(0, np.float32), 1, ()
    for attempt in itertools.count():
        key = segment_keys(next_seed(seed, coded.tries - 1 + attempt), index)[1]
        wave = codes_to_wave(
            model, coded.spoken.ids, voice, emotion, coded.codes, frames, settings, key, clock
        )
        faults = sample_faults(wave)
        if not faults or coded.tries + attempt > settings.retries:
            break
    return wave, attempt + 1, faults
