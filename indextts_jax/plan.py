"""`python -m indextts_jax.plan`: what a text will take, before it is spoken."""

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.cli import runner, text_flags
from indextts_jax.cli.terminal import say, stage_bar
from indextts_jax.config import COMPUTE_DTYPES
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.planning import speed_log
from indextts_jax.planning.memory import fitted, parse_size
from indextts_jax.planning.plan import described, planned
from indextts_jax.planning.speed_log import Setting
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.runtime.model import load_model
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.voices import store
from indextts_jax.voices.analysis import Voice

EXAMPLES = (
    "plan --checkpoint indextts2 --text_file book.txt",
    "plan --checkpoint indextts2 --text_file book.txt --batch 8 --max_memory 8GB",
)
COMMON = (
    "text_file",
    "text",
    "checkpoint",
    "dtype",
    "batch",
    "max_memory",
    "device",
    "calibrate",
    "speaker",
    "voice",
    "json",
)


def define(flags: absl_flags.FlagValues) -> None:
    """The flags of this command."""
    own: dict[str, Any] = {"flag_values": flags}
    text, whole = absl_flags.DEFINE_string, absl_flags.DEFINE_integer
    usual, sampling = Settings(), SamplingConfig()
    text("text_file", None, "File (UTF-8) with what to say.", **own)
    text("text", None, "What to say.", **own)
    text("checkpoint", None, "Folder made by python -m indextts_jax.import.", **own)
    absl_flags.DEFINE_enum(
        "dtype", None, list(COMPUTE_DTYPES), "Numbers, as synth takes them.", **own
    )
    absl_flags.DEFINE_bool("fused_attention", False, "As synth takes it.", **own)
    whole("batch", 1, "Segments that are spoken at once.", lower_bound=1, **own)
    text("max_memory", None, "Device memory, for instance 8GB, as synth takes it.", **own)
    absl_flags.DEFINE_enum("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)
    absl_flags.DEFINE_bool(
        "calibrate",
        False,
        "Speak as many segments as go at once to measure the speed, with --speaker or --voice, and "
        "compile the largest programs to learn their memory.",
        **own,
    )
    text("speaker", None, "Recording of a voice, to calibrate with.", **own)
    text("voice", None, "Kept voice, to calibrate with.", **own)
    whole("steps", usual.steps, "Steps of the flow.", lower_bound=1, **own)
    absl_flags.DEFINE_float("guidance", usual.guidance, "Guidance of the flow.", **own)
    whole("beams", sampling.beams, "Beams of the search for codes.", lower_bound=1, **own)
    whole("max_codes", None, "Longest segment, in codes of 20 ms.", lower_bound=1, **own)
    whole("segment_tokens", None, "Longest segment, in text tokens.", lower_bound=1, **own)
    text_flags.define(flags)
    absl_flags.DEFINE_bool("json", False, "Print everything as JSON, for machines.", **own)


def main(flags: Any) -> None:
    """Prints what the text will take.

    Raises:
        InputError: if there is no text or no checkpoint, or for a text that is refused.
    """
    if flags.checkpoint is None:
        raise InputError("give --checkpoint DIR (made by python -m indextts_jax.import)")
    if flags.calibrate and (flags.speaker is None) == (flags.voice is None):
        raise InputError("--calibrate needs --speaker or --voice, one of them")
    text, settings = text_flags.given_text(flags), _settings(flags)
    limit = None if flags.max_memory is None else parse_size(flags.max_memory)
    device, dtype, fused = devices.choose(flags.device), flags.dtype, flags.fused_attention
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), stage_bar("Planning") as watch:
        if limit is not None:
            fit = fitted(
                flags.checkpoint, limit, settings, dtype=dtype, fused_attention=fused, watch=watch
            )
            settings, dtype = fit.settings, fit.dtype
        model = load_model(flags.checkpoint, dtype=dtype, lazy=True, fused_attention=fused)
        tts = IndexTTS(model)
        script = tts.script(text, settings)
        if flags.calibrate:
            texts = [segment.text for segment in script.segments[: settings.batch]]
            measure(tts, _voice(tts, flags), texts, settings)
        watch("memory")
        plan = planned(tts, script, settings, compiles=flags.calibrate)
    if flags.json:
        data = dataclasses.asdict(plan) | {"seconds": plan.seconds}
        data["speed"] = None if plan.speed is None else plan.speed._asdict()
        say(json.dumps(data, indent=2))
        return
    for line in described(plan):
        say(line)


def _settings(flags: Any) -> Settings:
    return Settings(
        sampling=SamplingConfig(beams=flags.beams),
        steps=flags.steps,
        guidance=flags.guidance,
        max_codes=flags.max_codes,
        segment_tokens=flags.segment_tokens,
        batch=flags.batch,
        **text_flags.values(flags),
    )


def _voice(tts: IndexTTS, flags: Any) -> Voice:
    if flags.voice is not None:
        return store.load_voice(tts.model, store.voice_path(flags.voice))
    return tts.voice(flags.speaker)


def measure(tts: IndexTTS, voice: Voice, texts: Sequence[str], settings: Settings) -> None:
    """Speaks texts twice, as many at once as settings say, and keeps the time of the second."""
    for _ in range(2):
        start = time.perf_counter()
        if settings.batch == 1:
            spoken = [tts.speak(text, voice, settings=settings) for text in texts]
        else:
            many = [Request(text=text, voice=voice) for text in texts]
            spoken = tts.speak_many(many, settings=settings)
        spent = time.perf_counter() - start
    setting = Setting.of(tts.model, settings, tts.model.device, segments=len(texts))
    speed_log.note(setting, audio=sum(one.duration for one in spoken), compute=spent)


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="plan",
        summary="what a text will take, before it is spoken.",
        common=COMMON,
        examples=EXAMPLES,
    )
