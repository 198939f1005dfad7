"""`python -m indextts_jax.voice`: saves the analysis of a recording as a named voice.

python -m indextts_jax.voice create --checkpoint indextts2 --speaker clip.wav --name anna
python -m indextts_jax.voice list
python -m indextts_jax.voice show anna
python -m indextts_jax.voice delete anna
"""

import os
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.cli import prompt_flags, runner
from indextts_jax.cli.terminal import say, stage_bar
from indextts_jax.errors import InputError, one_line
from indextts_jax.models.components import ANALYSING
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.runtime.model import load_model
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.utils.text_table import table
from indextts_jax.voices import store
from indextts_jax.voices.analysis import analyse_voice

COMMON = ("action", "name", "speaker", "checkpoint", "prompt_excerpt", "force", "device")
EXAMPLES = (
    "voice create anna --checkpoint indextts2 --speaker anna.wav",
    "voice create bob --checkpoint indextts2 --speaker b.mp3 --prompt_excerpt 42",
    "voice list",
)
POSITIONAL = ("action", "name")
ACTIONS = ("create", "list", "show", "delete")


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text, choice = absl_flags.DEFINE_string, absl_flags.DEFINE_enum
    choice("action", None, list(ACTIONS), "What to do: create, list, show or delete.", **own)
    text("name", None, f"Name of the voice, or a path that ends in {store.ENDING}.", **own)
    text("speaker", None, "Recording of the voice, for create.", **own)
    text("checkpoint", None, "Directory made by python -m indextts_jax.import, for create.", **own)
    prompt_flags.define(own)
    absl_flags.DEFINE_bool("force", False, "Replace an existing voice of this name.", **own)
    choice("device", "auto", list(devices.PLATFORMS), "Where to analyse.", **own)


def _create(flags: Any, path: Path) -> None:
    if not flags.speaker or not flags.checkpoint:
        raise InputError("to create a voice give --speaker RECORDING and --checkpoint DIR")
    if path.exists() and not flags.force:
        raise InputError(f"{path} exists already; --force replaces it")
    if os.path.lexists(path):
        store.check_voice(path)
    if not Path(flags.speaker).is_file():
        raise InputError(f"{flags.speaker}: file not found; expected a recording of a voice")
    start = prompt_flags.excerpt_start(flags.speaker, flags.prompt_excerpt)
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), stage_bar("Analysing") as on_stage:
        clock = Clock(on_stage)
        with clock.stage("loading"):
            model = load_model(flags.checkpoint, components=ANALYSING)
        voice = analyse_voice(model, flags.speaker, clock, start)
        store.save_voice(model, voice, path)
    rate, hop = model.config.mel.sample_rate, model.config.mel.hop
    say(
        f"{path}: {voice.frames * hop / rate:.2f} s of {flags.speaker}, "
        f"{path.stat().st_size / 1e6:.2f} MB, in {sum(clock.seconds.values()):.1f} s\n"
        f"Speak with it: python -m indextts_jax.synth --checkpoint {flags.checkpoint} "
        f'--voice {flags.name!r} --text "..."'
    )


def _list() -> None:
    folder, found = store.directory(), store.names()
    if not found:
        say(f"no voices in {folder}")
        return
    rows = []
    for name in found:
        path = folder / f"{name}{store.ENDING}"  # whatever its name is
        try:
            record = store.read_record(path)
            rows.append([name, record.source.name, record.checkpoint[:12], record.created])
        except InputError as error:
            rows.append([name, str(error), "", ""])
    say(f"voices in {folder}\n")
    say(table(("name", "recording", "checkpoint", "created"), rows))


def _show(path: Path) -> None:
    record = store.read_record(path)
    say(
        f"{one_line(path)}: {path.stat().st_size / 1e6:.2f} MB, undamaged\n"
        f"recording   {one_line(record.source.name)}, {record.source.size:,} bytes, "
        f"SHA-256 {one_line(record.source.sha256)}\n"
        f"excerpt     second {record.start:.1f} to {record.start + record.heard:.1f}\n"
        f"checkpoint  {one_line(record.checkpoint)}\n"
        f"created     {one_line(record.created)}"
    )


def main(flags: Any) -> None:
    if flags.action is None:
        raise InputError(f"give an action: {', '.join(ACTIONS)}")
    if flags.action == "list":
        _list()
        return
    if not flags.name:
        raise InputError(f"give --name, the voice to {flags.action}")
    path = store.voice_path(flags.name)
    if flags.action == "create":
        _create(flags, path)
    elif flags.action == "show":
        _show(path)
    elif os.path.lexists(path):
        store.check_voice(path)
        path.unlink()
        say(f"deleted {path}")
    else:
        raise InputError(f"voice {path} does not exist; saved voices: {store.listed()}")


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="voice",
        summary="saves named voices: create, list, show, delete.",
        common=COMMON,
        positional=POSITIONAL,
        examples=EXAMPLES,
    )
