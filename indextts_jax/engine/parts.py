"""Parts of the output: frames, silences, faults and retries."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.engine.faults import (
    EMPTY_TRIES,
    Fault,
    faded,
    length_faults,
    playable,
    runaway_limit,
)
from indextts_jax.engine.pace import frames_of
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Segment
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.timings.words import Word

Progress = Callable[[int, int], None]  # called with segments done, segments in all


@dataclasses.dataclass(frozen=True)
class Part:
    """One segment's samples in [-1, 1], with the silence around it; parts are concatenated."""

    samples: Float32[np.ndarray, " n"]
    segment: Segment
    seconds: dict[str, float]  # of compute, by stage
    words: tuple[Word, ...] | None = None  # in seconds of these samples; None if not requested


def _silences(model: Model, script: Script) -> list[int]:
    """Samples of silence after each segment."""
    return [int(model.config.mel.sample_rate * spoken.pause) for spoken in script.segments]


def frames_for(
    model: Model, script: Script, counts: Sequence[int], settings: Settings
) -> list[int]:
    """Mel frames for segments with these numbers of codes.

    With a duration `counts` must cover all segments of the script; with a speed, any of them.

    Raises:
        InputError: for a duration that cannot be met.
    """
    mel = model.config.mel
    silence = int(mel.sample_rate * script.lead) + sum(_silences(model, script))
    return frames_of(counts, settings.timing, silence, model.config)


@dataclasses.dataclass(frozen=True)
class Edges:
    """Samples of silence around a segment, and whether it begins or ends beside silence."""

    ahead: int
    behind: int
    start: bool
    end: bool


def edges_of(model: Model, script: Script, index: int) -> Edges:
    """What surrounds a segment of a script."""
    rate, silences = model.config.mel.sample_rate, _silences(model, script)
    return Edges(
        ahead=int(rate * script.lead) if index == 0 else 0,
        behind=silences[index],
        start=index == 0 or silences[index - 1] > 0,
        end=index == len(silences) - 1 or silences[index] > 0,
    )


def within_silence(
    model: Model, script: Script, index: int, wave: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, " k"]:
    """A segment's samples as they are played, with the silence around them."""
    return within_edges(model, edges_of(model, script, index), wave)


def within_edges(
    model: Model,
    edges: Edges,
    wave: Float32[np.ndarray, " n"],
    *,
    first: bool = True,
    last: bool = True,
) -> Float32[np.ndarray, " k"]:
    """Samples of a segment as they are played; silence and fades where they are first or last."""
    rate = model.config.mel.sample_rate
    ahead = np.zeros(edges.ahead if first else 0, np.float32)
    behind = np.zeros(edges.behind if last else 0, np.float32)
    wave = faded(playable(wave), rate, start=edges.start and first, end=edges.end and last)
    return np.concatenate([ahead, wave, behind])


def judge(
    model: Model,
    spoken: Spoken,
    ids: Int[np.ndarray, " n"],
    attempt: int,
    settings: Settings,
    *,
    truncated: bool,
) -> tuple[Int[np.ndarray, " k"], tuple[Fault, ...], bool]:
    """The usable codes of an attempt (counted from 0), their faults, and whether to retry.

    `truncated` says that the limit was reached before a stop code.
    """
    mel, most = model.config.mel, runaway_limit(spoken, model.config.codes_per_second)
    cut, ids = len(ids) > most, ids[:most]
    frames = version_of(model.config).frames(len(ids), model.config.frames_per_code)
    seconds = frames * mel.hop / mel.sample_rate
    faults = length_faults(seconds, spoken.duration, truncated=truncated, cut=cut)
    allowed = settings.retries if len(ids) else max(settings.retries, EMPTY_TRIES)
    return ids, faults, bool(faults) and attempt < allowed
