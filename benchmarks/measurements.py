"""The measurements of `run.py`: a new voice, a request, and the lower bound of each."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from benchmarks import record, roofline
from benchmarks.roofline import Cost, Peak
from benchmarks.workload import CODES_PER_SECOND, FRAMES_PER_CODE, Work, codes_for
from indextts_jax.config import ModelConfig, RunConfig
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime.model import Model
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.voices.analysis import Voice

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}  # bytes
COMPILED = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """Seconds that the compiler has taken, and how many programs it made."""

    def __init__(self) -> None:
        self.seconds, self.count = 0.0, 0
        jax.monitoring.register_event_duration_secs_listener(self._count)

    def _count(self, event: str, seconds: float, **_: Any) -> None:
        if event == COMPILED:
            self.seconds, self.count = self.seconds + seconds, self.count + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """A text in the voice of a prompt, spoken in `rows` rows at once."""

    characters: int
    text: str
    prompt: float  # seconds
    steps: int
    beams: int
    rows: int = 1
    codes: int | None = None

    @property
    def most(self) -> int:
        """Codes, which the length of the text decides."""
        return self.codes or codes_for(self.characters)

    @property
    def settings(self) -> Settings:
        """The reference's settings, except for the length."""
        sampling = SamplingConfig(beams=self.beams)
        return Settings(sampling=sampling, max_codes=self.most, steps=self.steps, batch=self.rows)


def timed(
    run: Callable[[], Any], repeats: int, compilations: Compilations
) -> tuple[dict[str, Any], Any]:
    """The times of the first call and of the repeats, and the last result."""
    before, count, start = compilations.seconds, compilations.count, time.perf_counter()
    found = run()
    first = {
        "first": time.perf_counter() - start,
        "compile": compilations.seconds - before,
        "programs": compilations.count - count,
    }
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return {**first, **record.summary(seconds)}, found


def floors(
    config: ModelConfig,
    run: RunConfig,
    request: Request,
    tokens: int,
    codes: int,
    peaks: Mapping[str, Peak],
) -> dict[str, float]:
    """The lower bound of each stage of speaking, in seconds; `peaks` by compute dtype."""
    rows = request.rows
    prompt = Work(prompt=request.prompt).prompt_frames
    frames = int(FRAMES_PER_CODE * codes)

    def total(costs: list[Cost], dtype: str) -> float:
        return sum(peaks[dtype].floor(cost) for cost in costs)

    gpt, dit, vocoder = (run.compute_dtype(name) for name in ("gpt", "dit", "vocoder"))
    width = {dtype: WIDTHS[dtype] for dtype in (gpt, dit, vocoder)}
    steps = roofline.decode(config, tokens, codes, request.beams, width[gpt], rows)
    flow = roofline.flow(config, prompt, codes, frames, request.steps, width[dit], rows)
    return {
        "codes": total(steps, gpt),
        "latents": total([roofline.latents(config, tokens, codes, width[gpt], rows)], gpt),
        "flow": total(flow, dit),
        "vocoder": total([roofline.vocoder(config, frames, width[vocoder], rows)], vocoder),
    }


def voice_floors(config: ModelConfig, seconds: float, peak: Peak) -> dict[str, float]:
    """The lower bound of each component for a new prompt, in seconds."""
    work = Work(prompt=seconds)
    costs = {
        "semantic_codec": roofline.semantic_codec(config, work.features),
        "conditioning": roofline.conditioning(config, work.features),
        "style_encoder": roofline.style_encoder(config, work.banks) or Cost(0.0, 0.0),
        "length_regulator": roofline.regulator(config, work.features, work.prompt_frames, 4),
    }
    encoder = peak.floor(roofline.semantic_encoder(config, work.features))
    return {
        "semantic_encoder": 2 * encoder,  # the speaker's and the emotion's route
        **{name: peak.floor(cost) for name, cost in costs.items()},
    }


@dataclasses.dataclass(frozen=True)
class Timed(Model):
    """A model that waits for each of its stages, and adds up their seconds by component."""

    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def run_stage(self, component: str, function: Any, *arrays: Any, **static: Any) -> Any:
        """The result of a stage, which is there."""
        start = time.perf_counter()
        found = jax.block_until_ready(super().run_stage(component, function, *arrays, **static))
        spent = time.perf_counter() - start
        self.seconds[component] = self.seconds.get(component, 0.0) + spent
        return found


def analysed(
    tts: IndexTTS,
    path: Path,
    seconds: float,
    peak: Peak,
    repeats: int,
    compilations: Compilations,
) -> tuple[dict[str, Any], Voice]:
    """The row of a new voice, and the voice; its stages are timed in one more run, with waits."""
    times, voice = timed(lambda: tts.voice(path), repeats, compilations)
    fields = {f.name: getattr(tts.model, f.name) for f in dataclasses.fields(tts.model)}
    model = Timed(**fields)
    IndexTTS(model).voice(path)
    least = voice_floors(tts.model.config, seconds, peak)
    floor = sum(least.values())
    row = {
        "what": "voice",
        "prompt": seconds,
        **times,
        "stages": model.seconds,
        "floors": {name: value for name, value in least.items() if value},
        "floor": floor,
        "over_floor": times["median"] / floor,
    }
    return row, voice


def decoded_bytes(
    config: ModelConfig, run: RunConfig, request: Request, tokens: int, codes: int
) -> float:
    """Bytes that decoding reads and writes, by formula."""
    width = WIDTHS[run.compute_dtype("gpt")]
    steps = roofline.decode(config, tokens, codes, request.beams, width, request.rows)
    return sum(cost.bytes for cost in steps)


def speak(tts: IndexTTS, voice: Voice, request: Request) -> list[Any]:
    """The speech of a request: alone by `speak`, several at once by `speak_many`."""
    if request.rows == 1:
        return [tts.speak(request.text, voice, settings=request.settings)]
    from indextts_jax.engine.request import Request as SpeechRequest

    many = [
        SpeechRequest(text=request.text, voice=voice, seed=seed) for seed in range(request.rows)
    ]
    return tts.speak_many(many, settings=request.settings)


def whole(
    tts: IndexTTS,
    voice: Voice,
    request: Request,
    peaks: Mapping[str, Peak],
    repeats: int,
    compilations: Compilations,
) -> dict[str, Any]:
    """The row of a request: its times, its stages, its floor."""
    spent: list[dict[str, float]] = []

    def run() -> list[Any]:
        found = speak(tts, voice, request)
        # The rows of a batch share the stages: each speech reports its share.
        stages: dict[str, float] = {}
        for speech in found:
            for name, seconds in speech.seconds.items():
                stages[name] = stages.get(name, 0.0) + seconds
        spent.append(stages)
        return found

    times, found = timed(run, repeats, compilations)
    segments = [segment for speech in found for segment in speech.segments]
    audio = sum(speech.duration for speech in found)
    codes, count = sum(segment.codes for segment in segments), len(segments)
    tokens = round(sum(s.text_tokens for s in segments) / count)
    mean = tts.model.config, tts.model.run, request, tokens, round(codes / count)
    rounds = count / request.rows
    least = {name: seconds * rounds for name, seconds in floors(*mean, peaks).items()}
    stages = {
        name: record.summary([one[name] for one in spent[1:]])["median"] for name in spent[-1]
    }
    middle = times["median"]
    return {
        "what": "whole",
        "characters": request.characters,
        "prompt": request.prompt,
        "batch": request.rows,
        "segments": count,
        "codes": codes,
        "audio": audio,
        **times,
        "stages": stages,
        "floors": least,
        "floor": sum(least.values()),
        "over_floor": middle / sum(least.values()),
        "real_time_factor": middle / audio,
        "times_real_time": audio / middle,
        "codes_per_second": codes / stages["codes"],
        "bytes_per_second": decoded_bytes(*mean) * rounds / stages["codes"],  # of decoding
        "expected_seconds": codes / CODES_PER_SECOND,
    }
