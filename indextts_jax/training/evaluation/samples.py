"""Samples: fixed texts, synthesised by the real pipeline with fixed seeds at every evaluation.

Measured without judges: whether segments ended with a stop code, codes per character relative to
the training clips, the longest repetition of codes, silence, clipping. Judges (`judges/`), if
given, add word errors, similarity to the prompt and an estimate of quality.
"""

import dataclasses
import json
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import PromptWarning
from indextts_jax.models.components import Params
from indextts_jax.runtime.model import Model
from indextts_jax.training.data.prepared import Row
from indextts_jax.training.evaluation.judges import panel
from indextts_jax.training.evaluation.judges.panel import Judged, Panel
from indextts_jax.training.evaluation.speaking import speaking
from indextts_jax.training.loop.run import Measured
from indextts_jax.utils.atomic import write_whole

FOLDER, JUDGED = "samples", "judged.json"
TEXTS = (
    "The ferry leaves at a quarter past seven, whatever the weather.",
    "Could you hand me the blue notebook, please?",
    "No.",
    "She counted every step on the way up, and lost her place near the top.",
    "We drove through three villages without meeting anyone on the road.",
    "I never said that it would be easy, only that it would be worth the trouble.",
)
RATIOS = (0.6, 1.6)  # usual codes per character, relative to the training clips' median
REPEAT = 1.0  # seconds of one repeated pattern of codes; more is suspicious
FRAME = 0.02  # seconds
SILENT = 0.001  # RMS of a frame, full scale being 1


@dataclasses.dataclass(frozen=True)
class Spoken:
    """Automatic measurements of one sample."""

    text: int  # index of the text
    prompt: int
    ended: bool  # whether every segment ended with a stop code
    ratio: float  # codes per character over the training clips' median
    silence: float  # share of the frames
    clipped: float  # share of the samples
    repeat: float = 0.0  # seconds of the longest repetition of one pattern

    @property
    def suspicious(self) -> bool:
        """Whether the sample should be checked by listening."""
        usual = RATIOS[0] <= self.ratio <= RATIOS[1] and self.repeat <= REPEAT
        return not self.ended or not usual


def pace(rows: Sequence[Row]) -> float:
    """The median of the clips' codes per character."""
    found = [row.codes / len(row.text) for row in rows if row.codes and row.text]
    return statistics.median(found) if found else 0.0


def judge(
    speech: Speech,
    text: str,
    typical: float,
    *,
    number: int,
    prompt: int,
    codes_per_second: int,
) -> Spoken:
    """Measures a sample without judges."""
    samples = np.asarray(speech.samples, np.float64)
    size = max(1, round(FRAME * speech.sample_rate))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    quiet = np.sqrt(np.mean(frames**2, axis=1)) < SILENT if len(frames) else np.ones(1)
    codes = sum(segment.codes for segment in speech.segments)
    return Spoken(
        text=number,
        prompt=prompt,
        ended=not any(segment.truncated or segment.faults for segment in speech.segments),
        ratio=codes / len(text) / typical if typical > 0 else 1.0,
        silence=float(np.mean(quiet)),
        clipped=float(np.mean(np.abs(samples) >= 0.999)) if len(samples) else 0.0,
        repeat=max((one.repeat for one in speech.segments), default=0) / codes_per_second,
    )


@dataclasses.dataclass
class Samples:
    """A measure: synthesises, writes `samples/<step>/<text>_<prompt>.wav`, and summarises.

    Judges' results are written to `judged.json` beside them.

    `base` is the model before training, loaded for inference. Prompts are analysed again each time,
    because the networks for that may be in training.
    """

    run: Path
    base: Model
    prompts: Sequence[Path]  # recordings
    typical: float  # codes per character
    texts: Sequence[str] = TEXTS
    scale: float = 1.0  # scale of adapters
    settings: Settings = dataclasses.field(default_factory=Settings)
    fold: Callable[[Params], Params] = lambda params: params  # to the structure of checkpoints
    release: Callable[[], None] = lambda: None  # frees memory that only inference needs
    judges: Panel = dataclasses.field(default_factory=Panel)
    judged_best: bool = True  # whether the judges' score determines the best save

    def __call__(self, step: int, params: Params) -> Measured:
        """Synthesises every text with every prompt."""
        tts = IndexTTS(speaking(self.base, self.fold(params), self.scale))
        found, files = [], []
        for prompt, recording in enumerate(self.prompts):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PromptWarning)  # warned once already, elsewhere
                voice = tts.voice(recording)
            for number, text in enumerate(self.texts):
                request = Request(text=text, voice=voice, seed=number, settings=self.settings)
                speech = tts.speak(request)
                path = self.run / FOLDER / str(step) / f"{number}_{prompt}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                speech.save(path)
                files.append((path, text, recording))
                rate = self.base.config.codes_per_second
                measured = {"number": number, "prompt": prompt, "codes_per_second": rate}
                found.append(judge(speech, text, self.typical, **measured))
        self.release()
        values: dict[str, Any] = {"samples": summary(found)}
        if not self.judges:
            return Measured(values)
        judged = [self.judges.judge(*file) for file in files]
        self._write(step, judged)
        values["judges"] = panel.summary(judged)
        if not self.judged_best:
            return Measured(values)
        return Measured(values, score=panel.score(values["judges"]), metric=self.judges.metric)

    def _write(self, step: int, judged: Sequence[Judged]) -> None:
        """Writes the judges' results beside the samples."""
        found = [{**dataclasses.asdict(one), "audio": Path(one.audio).name} for one in judged]
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.run / FOLDER / str(step) / JUDGED, text.encode())


def summary(found: Sequence[Spoken]) -> Mapping[str, Any]:
    """Statistics over all samples, and the suspicious ones."""
    return {
        "count": len(found),
        "ended": sum(one.ended for one in found),
        "ratio": statistics.median(one.ratio for one in found),
        "silence": statistics.mean(one.silence for one in found),
        "clipped": max(one.clipped for one in found),
        "repeat": max(one.repeat for one in found),
        "listen": [f"{one.text}_{one.prompt}" for one in found if one.suspicious],
    }
