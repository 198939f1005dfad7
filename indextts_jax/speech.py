"""What speaking gives: samples, and how they came about."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from indextts_jax.audio.output import write_audio
from indextts_jax.guards import Fault


@dataclasses.dataclass(frozen=True)
class Segment:
    """One run of text tokens, synthesised in one pass."""

    text_tokens: int
    codes: int
    frames: int
    truncated: bool  # no stop code came before the limit: the end may be missing
    tries: int = 1  # seeds that were needed
    faults: tuple[Fault, ...] = ()  # what is wrong with it all the same


@dataclasses.dataclass(frozen=True)
class Speech:
    """A waveform in [-1, 1], mono, with what it was made of."""

    samples: Float32[np.ndarray, " n"]
    sample_rate: int  # Hz
    segments: tuple[Segment, ...]
    seconds: dict[str, float]  # of compute, by stage

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return len(self.samples) / self.sample_rate

    @property
    def real_time_factor(self) -> float:
        """Seconds of compute for a second of audio; below 1 is faster than real time."""
        return sum(self.seconds.values()) / self.duration

    def save(self, path: str | Path, subtype: str | None = None, comment: str = "") -> None:
        """Writes a WAV, FLAC, OGG or MP3 file by its ending, whole or not at all.

        `subtype` is the format of the samples (PCM_16, PCM_24, FLOAT; see `audio.output`).
        """
        write_audio(path, self.samples, self.sample_rate, subtype, comment)
