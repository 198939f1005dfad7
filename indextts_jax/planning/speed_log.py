"""How fast this device speaks, measured while it speaks and stored in the cache directory.

note(SpeedSetting.of(model, settings, device, segments=9), audio=12.3, compute=4.5)
speed = known(SpeedSetting.of(model, settings, device, segments=200))
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax

from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime.cache_folder import cache_directory
from indextts_jax.runtime.environment import environment
from indextts_jax.runtime.model import Model, config_key
from indextts_jax.utils import atomic
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data
from indextts_jax.voices.analysis import Voice

FILE = "speeds.json"
KEPT = 20  # latest measurements stored per setting
SHORTEST = 0.2  # seconds of audio; shorter runs are too noisy


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SpeedSetting:
    """Everything that the speed depends on, except the text."""

    device: str
    machine: str
    config: str
    dtype: str
    batch: int  # segments spoken at once
    beams: int
    steps: int
    guided: bool

    @classmethod
    def of(
        cls, model: Model, settings: Settings, device: jax.Device, *, segments: int
    ) -> "SpeedSetting":
        """The setting of a model on a device; fewer segments than the batch do not fill it."""
        here = environment(device)
        return cls(
            device=here.device,
            machine=here.machine,
            config=config_key(model.config, model.run),
            dtype=model.run.compute_dtype("gpt"),
            batch=min(settings.batch, segments),
            beams=settings.sampling.beams,
            steps=settings.steps,
            guided=settings.guidance > 0,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One run: seconds of audio, and of compute without compilation and loading."""

    setting: SpeedSetting
    audio: float
    compute: float


class Speed(NamedTuple):
    """Statistics of the measurements: seconds of compute per second of audio."""

    factor: float  # the median
    least: float
    most: float
    runs: int


def path() -> Path:
    """The file of measurements."""
    return cache_directory() / FILE


def measurements() -> list[Measurement]:
    """All stored measurements; empty if the file is missing or damaged."""
    try:
        data = json.loads(path().read_text("utf-8"))
        return [from_data(Measurement, one) for one in data["measured"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ConfigError):
        return []


def note(setting: SpeedSetting, *, audio: float, compute: float) -> None:
    """Stores a measurement; one that is too short, or cannot be written, is dropped."""
    if audio < SHORTEST or compute <= 0:
        return
    before = measurements()
    same = [one for one in before if one.setting == setting][1 - KEPT :]
    others = [one for one in before if one.setting != setting]
    now = Measurement(setting=setting, audio=round(audio, 3), compute=round(compute, 3))
    data = {"measured": [to_data(one) for one in [*others, *same, now]]}
    with contextlib.suppress(OSError, RuntimeError):  # only estimates need it
        atomic.write_whole(path(), json.dumps(data, indent=1).encode())


def known(setting: SpeedSetting) -> Speed | None:
    """The speed in a setting; None if it was never measured."""
    factors = [one.compute / one.audio for one in measurements() if one.setting == setting]
    if not factors:
        return None
    return Speed(median(factors), min(factors), max(factors), len(factors))


def note_speech(tts: IndexTTS, settings: Settings, speech: Speech, *, compiling: float) -> None:
    """Stores the speed of speech; `compiling` is the time in it spent on loading programs."""
    setting = SpeedSetting.of(tts.model, settings, tts.model.device, segments=len(speech.segments))
    note(setting, audio=speech.duration, compute=sum(speech.seconds.values()) - compiling)


def measure(
    tts: IndexTTS,
    voice: Voice,
    texts: Sequence[str],
    settings: Settings,
    language: str | None = None,
) -> None:
    """Speaks texts twice, in the batches of `settings`, and stores the time of the second run."""
    requests = [
        Request(text=text, voice=voice, settings=settings, language=language) for text in texts
    ]
    for _ in range(2):
        start = time.perf_counter()
        spoken = tts.speak_many(requests)
        spent = time.perf_counter() - start
    setting = SpeedSetting.of(tts.model, settings, tts.model.device, segments=len(texts))
    note(setting, audio=sum(one.duration for one in spoken), compute=spent)
