"""What speaking gives: samples, and how they came about."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from indextts_jax.audio.io import write_wav
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

    def save(self, path: str | Path, subtype: str = "PCM_16") -> None:
        """Writes a WAV file, whole or not at all: 16-bit, or float32 with subtype `FLOAT`."""
        write_wav(path, self.samples, self.sample_rate, subtype)
