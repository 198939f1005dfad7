"""`python -m indextts_jax.plan`: estimates time and memory for a text before it is spoken."""

import dataclasses
import json
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner, settings_flags, text_flags
from indextts_jax.cli.terminal import say, stage_bar
from indextts_jax.engine.settings import settings_of
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.planning.memory import fit, parse_size
from indextts_jax.planning.plan import format_plan, planned
from indextts_jax.planning.speed_log import measure
from indextts_jax.runtime import cache_folder, devices
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
    own: dict[str, Any] = {"flag_values": flags}
    text = absl_flags.DEFINE_string
    text("text_file", None, "Text file (UTF-8) to speak.", **own)
    text("text", None, "Text to speak.", **own)
    text_flags.define_language(flags)
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    text("max_memory", None, "Limit on device memory, as for synth, for example 8GB.", **own)
    absl_flags.DEFINE_bool(
        "calibrate",
        False,
        "Measure the speed by speaking one batch of segments (with --speaker or --voice), and "
        "compile the largest programs to find the memory that they need.",
        **own,
    )
    text("speaker", None, "Recording of a voice, for --calibrate.", **own)
    text("voice", None, "Saved voice, for --calibrate.", **own)
    settings_flags.define(flags)
    absl_flags.DEFINE_bool("json", False, "Print everything as JSON.", **own)


def main(flags: Any) -> None:
    """Prints the estimate.

    Raises:
        InputError: if text or checkpoint is missing, or the text is rejected.
    """
    if flags.checkpoint is None:
        raise InputError("give --checkpoint DIR (made by python -m indextts_jax.import)")
    if flags.calibrate and (flags.speaker is None) == (flags.voice is None):
        raise InputError("--calibrate needs either --speaker or --voice")
    text = text_flags.given_text(flags)
    run = settings_flags.run_config(flags)
    limit = None if flags.max_memory is None else parse_size(flags.max_memory)
    usual = settings_of(open_checkpoint(flags.checkpoint).settings)
    settings = settings_flags.settings(flags, usual)
    device = devices.choose(flags.device)
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), stage_bar("Planning") as on_stage:
        if limit is not None:
            found = fit(flags.checkpoint, limit, settings, run, on_stage=on_stage)
            settings, run = found.settings, found.run
        tts = IndexTTS.open(flags.checkpoint, run)
        script = tts.script(text, settings, flags.language)
        if flags.calibrate:
            texts = [segment.text for segment in script.segments[: settings.batch]]
            measure(tts, _voice(tts, flags), texts, settings, flags.language)
        on_stage("memory")
        plan = planned(tts, script, settings, compiles=flags.calibrate)
    if flags.json:
        data = dataclasses.asdict(plan) | {"seconds": plan.seconds}
        data["speed"] = None if plan.speed is None else plan.speed._asdict()
        say(json.dumps(data, indent=2))
        return
    for line in format_plan(plan):
        say(line)


def _voice(tts: IndexTTS, flags: Any) -> Voice:
    if flags.voice is not None:
        return store.load_voice(tts.model, store.voice_path(flags.voice))
    return tts.voice(flags.speaker)


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="plan",
        summary="estimates time and memory for a text before it is spoken.",
        common=COMMON,
        examples=EXAMPLES,
    )
