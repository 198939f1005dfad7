"""`python -m indextts_jax.warmup`: compiles all programs before the first request; packs them.

The library's part, `warm_up` and `warm_up_prompts`, is in `planning/warmup.py`.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.audio.io import load_audio
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner, settings_flags
from indextts_jax.cli.terminal import say, stage_bar, warn
from indextts_jax.emotion.reader import COMPONENT
from indextts_jax.engine.settings import Settings, settings_of
from indextts_jax.errors import InputError
from indextts_jax.planning.dry_run import DryRunModel, dry_run_model
from indextts_jax.planning.warmup import (
    Step,
    all_steps,
    blank_voices,
    prompt_steps,
    word_steps,
)
from indextts_jax.runtime import cache_folder, devices, executable_pack, executables
from indextts_jax.runtime.executables import Executable, ExecutableStore
from indextts_jax.runtime.model import config_key, load_model
from indextts_jax.runtime.precision import check_kernels
from indextts_jax.voices import store
from indextts_jax.voices.analysis import (
    ENCODER_RATE,
    Voice,
    analyse_signals,
    speaker_signals,
)

COMMON = ("checkpoint", "voice", "speaker", "dtype", "batch", "device", "pack", "unpack")
EXAMPLES = (
    "warmup --checkpoint indextts2",
    "warmup --checkpoint indextts2 --voice anna --pack programs.zip",
    "warmup --checkpoint indextts2 --unpack programs.zip",
)
TRUST = "compiled programs are executable code: unpack only files from people you trust"


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text = absl_flags.DEFINE_string
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    text("voice", None, "Only for this saved voice; by default for prompts of any length.", **own)
    text("speaker", None, "Only for this recording of a voice.", **own)
    text("pack", None, "File (.zip) to write all programs to, as the last step.", **own)
    text("unpack", None, "File (.zip) to read programs from, as the first step.", **own)
    settings_flags.define(flags)


def main(flags: Any) -> None:
    """Unpacks, compiles and packs programs, as the flags request.

    Raises:
        InputError: for an unusable checkpoint, voice or pack.
    """
    if flags.checkpoint is None and not (flags.pack or flags.unpack):
        raise InputError("give --checkpoint DIR, or --pack FILE or --unpack FILE")
    for flag in ("pack", "unpack"):
        path = getattr(flags, flag)
        if path is not None and Path(path).suffix.lower() != ".zip":
            raise InputError(f"--{flag} {path}: expected a file name ending in .zip")
    if flags.pack is not None:
        executable_pack.check_replaceable(Path(flags.pack))
    if flags.unpack is not None and not Path(flags.unpack).is_file():
        raise InputError(f"--unpack {flags.unpack}: file not found")
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    cache_folder.enable_compilation_cache()
    programs = executables.active()
    if programs is None:
        raise InputError(
            f"compiled programs cannot be stored: set {cache_folder.CACHE} to a writable directory"
        )
    config = None
    if flags.checkpoint is not None:
        run, sizes = settings_flags.run_config(flags), open_checkpoint(flags.checkpoint).config
        if run.fused_attention:
            check_kernels(sizes, device)
        config = config_key(sizes, run)
    if flags.unpack is not None:
        warn(TRUST)
        unpacked = executable_pack.unpack(programs, device, Path(flags.unpack), config)
        say(f"{unpacked.path}: {unpacked.programs} programs, SHA-256 {unpacked.sha256}")
    if flags.checkpoint is not None and (flags.unpack is None or flags.pack is not None):
        with jax.default_device(device):
            _compile(flags, programs)
    if flags.pack is not None:
        made = executable_pack.pack(programs, device, Path(flags.pack), config)
        say(f"{made.path}: {made.programs} programs, {made.bytes / 1e6:.1f} MB")
        say(f"SHA-256 {made.sha256}")


def _compile(flags: Any, programs: ExecutableStore) -> None:
    """Compiles all steps and prints a line for each program."""
    usual = settings_of(open_checkpoint(flags.checkpoint).settings)
    settings, run = settings_flags.settings(flags, usual), settings_flags.run_config(flags)
    start, counts, now = time.perf_counter(), {True: 0, False: 0}, ["all steps", ""]

    def notice(program: Executable) -> None:
        counts[program.kept] += 1
        source, stage = "cache" if program.kept else "new  ", program.record.stage
        say(f"{program.seconds:7.1f} s  {source}  {stage}, for {now[0]}{now[1]}")

    with stage_bar("Compiling") as on_stage:
        on_stage("listing")
        programs.notice = notice
        model = dry_run_model(load_model(flags.checkpoint, run, lazy=True))
        steps = list(_steps(model, settings, flags.voice, flags.speaker))
        if flags.voice is None and flags.speaker is None:
            steps += _word_steps(flags)
        for number, step in enumerate(steps, 1):
            now[:] = step.what, f" ({len(steps) - number} steps left)"
            on_stage("".join(now))
            step.do()
            programs.forget()
    programs.notice = lambda program: None
    say(
        f"{counts[False]} programs compiled, {counts[True]} from the cache, in "
        f"{time.perf_counter() - start:.0f} s; they are in {programs.folder}"
    )


def _steps(
    model: DryRunModel, settings: Settings, voice: str | None, speaker: str | None
) -> Iterator[Step]:
    if voice is not None and speaker is not None:
        raise InputError("--speaker and --voice are mutually exclusive")
    if voice is None:
        yield from prompt_steps(model) if speaker is None else ()
    for one in _voices(model, voice, speaker):
        seconds = one.frames * model.config.mel.hop / model.config.mel.sample_rate
        steps = all_steps(model, one, settings)
        yield from (step._replace(what=f"{step.what}, prompt of {seconds:.1f} s") for step in steps)


def _word_steps(flags: Any) -> list[Step]:
    """Steps for emotion from text, if the checkpoint can read it."""
    if COMPONENT not in open_checkpoint(flags.checkpoint).components:
        return []
    reader = load_model(
        flags.checkpoint, settings_flags.run_config(flags), components=[COMPONENT], lazy=True
    )
    return word_steps(dry_run_model(reader))


def _voices(model: DryRunModel, voice: str | None, speaker: str | None) -> Sequence[Voice]:
    """Voices to compile for; only their shapes matter."""
    if voice is not None:
        return [store.load_voice(model, store.voice_path(voice))]
    if speaker is not None:
        signals = speaker_signals(speaker, model.config)
        emotion = load_audio(speaker, ENCODER_RATE, model.config.limits.prompt_seconds)
        return [analyse_signals(model, signals, emotion)[0]]
    return blank_voices(model)


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="warmup",
        summary="compiles all programs before the first request; packs them.",
        common=COMMON,
        examples=EXAMPLES,
    )
