"""Runs the available judges on clips, and summarises their results."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from indextts_jax.audio.io import soxr_resample
from indextts_jax.audio.recording import opened
from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges.words import WordErrors, total, word_errors

RATE = 16_000  # Hz, sample rate of all judges
Signal = Float32[np.ndarray, " n"]


def read_signal(path: str | Path) -> Signal:
    """Loads a recording for judges: mono, 16 kHz. It may be silent, or too short for a prompt.

    Raises:
        InputError: for a file that is missing or not audio.
    """
    with opened(Path(path)) as recording:
        rate = recording.sample_rate
        blocks = [block.mean(axis=1) for block in recording.blocks()]
    mono = np.nan_to_num(np.concatenate([np.zeros(0, np.float32), *blocks]), posinf=0, neginf=0)
    return soxr_resample(mono, rate, RATE)


@dataclasses.dataclass(frozen=True)
class Judged:
    """The results for one clip; None where a judge or the prompt is missing."""

    audio: str
    text: str
    heard: str | None = None
    words: WordErrors | None = None
    similarity: float | None = None  # cosine to the prompt
    quality: float | None = None  # DNSMOS OVRL, 1 to 5


@dataclasses.dataclass
class Panel:
    """The judges: optional functions of a 16 kHz signal."""

    recogniser: Callable[[Signal], str] | None = None
    embed: Callable[[Signal], np.ndarray | None] | None = None  # unit-length speaker embedding
    quality: Callable[[Signal], float | None] | None = None
    language: str = "en"
    _known: dict[Path, np.ndarray | None] = dataclasses.field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return any((self.recogniser, self.embed, self.quality))

    def judge(self, audio: str | Path, text: str, prompt: str | Path | None = None) -> Judged:
        """Judges a recording of a text in the voice of a prompt.

        Raises:
            InputError: for a recording that cannot be read.
        """
        signal = read_signal(audio)
        heard = self.recogniser(signal) if self.recogniser else None
        return Judged(
            audio=str(audio),
            text=text,
            heard=heard,
            words=None if heard is None else word_errors(text, heard, self.language),
            similarity=self._similarity(signal, prompt),
            quality=self.quality(signal) if self.quality else None,
        )

    def _similarity(self, signal: Signal, prompt: str | Path | None) -> float | None:
        if self.embed is None or prompt is None:
            return None
        prompt = Path(prompt)
        if prompt not in self._known:
            self._known[prompt] = self.embed(read_signal(prompt))
        ours, theirs = self.embed(signal), self._known[prompt]
        if theirs is None:
            raise InputError(f"{prompt} is too short for a speaker comparison")
        return 0.0 if ours is None else float(np.dot(ours, theirs))  # None: silent or too short

    @property
    def metric(self) -> str:
        """A description of `score`."""
        words = "word error rate" if self.recogniser else ""
        voice = "1 - speaker similarity" if self.embed else ""
        return " + ".join(filter(None, (words, voice))) or "5 - DNSMOS"


def summary(found: Sequence[Judged]) -> dict[str, float]:
    """`wer` with `substitutions`, `deletions`, `insertions` (shares of the words), `similarity`
    and `quality` (means), as far as available.
    """
    values: dict[str, float] = {}
    if words := [one.words for one in found if one.words is not None]:
        counts = total(words)
        for name in ("substitutions", "deletions", "insertions"):
            values[name] = getattr(counts, name) / max(counts.words, 1)
        values = {"wer": counts.rate, **values}
    for name in ("similarity", "quality"):
        if numbers := [value for one in found if (value := getattr(one, name)) is not None]:
            values[name] = statistics.fmean(numbers)
    return values


def score(values: Mapping[str, Any]) -> float:
    """A single number, lower is better: word error rate plus 1 - similarity.

    Quality is only used if there are no other judges: it changes little between saves.
    """
    parts = [values["wer"]] if "wer" in values else []
    parts += [1 - values["similarity"]] if "similarity" in values else []
    return float(sum(parts)) if parts else 5 - float(values.get("quality", 0.0))
