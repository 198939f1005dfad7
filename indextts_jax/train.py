"""`python -m indextts_jax.train`: trains a model on prepared data; a stopped run resumes exactly.

python -m indextts_jax.train --recipe gpt_lora --data clips --checkpoint indextts2 --dst runs/anna
python -m indextts_jax.train --dst runs/anna --resume
python -m indextts_jax.train --recipe mini/all --data speech=a.jsonl,formant=b.jsonl --dst voice
"""

import signal
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from importers.formats.tensors import read_arrays
from indextts_jax.cli import runner
from indextts_jax.cli.interruption import INTERRUPTED, postponed
from indextts_jax.cli.subcommand import run_command
from indextts_jax.cli.terminal import say, warn
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.runtime.model import load_model
from indextts_jax.training import weights
from indextts_jax.training.data.prepared import Prepared
from indextts_jax.training.evaluation import report
from indextts_jax.training.evaluation.guard import guard_of
from indextts_jax.training.evaluation.judges.panel import Panel
from indextts_jax.training.evaluation.judges.quality import Quality
from indextts_jax.training.evaluation.judges.recogniser import Recogniser
from indextts_jax.training.evaluation.judges.speaker import Speakers
from indextts_jax.training.evaluation.samples import TEXTS, Samples, pace
from indextts_jax.training.evaluation.speaking import scale_of
from indextts_jax.training.from_scratch.commands import Plan
from indextts_jax.training.from_scratch.description import bundled_builds, load_build
from indextts_jax.training.from_scratch.run import run_build
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop import log, stop
from indextts_jax.training.loop.dry_run import estimate
from indextts_jax.training.loop.run import Measure
from indextts_jax.training.loop.saves import LOSS, check_metric, read_best
from indextts_jax.training.loop.session import Session, open_session, train
from indextts_jax.training.objectives import registry
from indextts_jax.training.parameters import Source
from indextts_jax.training.recipe import Recipe, bundled, load_recipe

COMMON = (
    "recipe",
    "data",
    "checkpoint",
    "dst",
    "resume",
    "set",
    "stop_after",
    "dry_run",
    "device",
    "devices",
    "sample_prompt",
    "guard",
    "judge_asr",
    "judge_speaker",
)
EXAMPLES = (
    "train --recipe gpt_lora --data clips --checkpoint indextts2 --dst anna",
    "train --dst anna --resume --stop_after 2h45m",
    "train --recipe flow_lora --data clips --checkpoint base --dst a --dry_run",
)
TERMINATED = 128 + signal.SIGTERM  # exit code


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text, boolean = absl_flags.DEFINE_string, absl_flags.DEFINE_bool
    names = ", ".join([*bundled(), *bundled_builds()])
    text("recipe", None, f"What to train and how: a YAML file, or one of {names}.", **own)
    text(
        "data",
        None,
        "Directory made by python -m indextts_jax.prepare; to train from scratch "
        f"({', '.join(bundled_builds())}), manifests by name: speech=a.jsonl,formant=b.jsonl.",
        **own,
    )
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    text("dst", None, "Directory of the run.", **own)
    boolean("resume", False, "Resume the run in --dst from its last save.", **own)
    absl_flags.DEFINE_multi_string(
        "set", [], "Recipe value to override, by path: optimizer.rate=5e-5; repeatable.", **own
    )
    boolean(
        "weights_only",
        False,
        f"With --resume: start from {weights.FILE} in --dst, with a new optimizer state.",
        **own,
    )
    absl_flags.DEFINE_float(
        "scale", 1.0, "From scratch: factor on the length of every stage.", lower_bound=0, **own
    )
    boolean("ignore_bars", False, "Continue after a stage that misses its thresholds.", **own)
    text("stop_after", None, "Save and stop after this time, for example 2h45m.", **own)
    boolean(
        "dry_run", False, "Only report what would train, and the memory and time needed.", **own
    )
    absl_flags.DEFINE_multi_string(
        "sample_prompt", [], "Recording whose voice speaks the samples; repeatable.", **own
    )
    text("guard", None, "Prepared data on which the model must not get worse.", **own)
    text("judge_asr", None, "Directory of a Whisper model, for the word errors of samples.", **own)
    text(
        "judge_speaker", None, "ERes2Net checkpoint, for the speaker similarity of samples.", **own
    )
    boolean("judge_quality", False, "Estimate the quality of samples with DNSMOS.", **own)
    text("judge_language", "en", "Language of the samples, for --judge_asr.", **own)
    boolean("tensorboard", False, "Write TensorBoard events too (extra: train).", **own)
    absl_flags.DEFINE_enum("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)
    absl_flags.DEFINE_integer(
        "devices", 1, "Number of devices to split a batch over; 0 for all.", lower_bound=0, **own
    )


def main(flags: Any) -> int:
    """Trains until the recipe's steps are done, the time is up, or a signal arrives.

    Raises:
        InputError: for an unusable recipe, data or checkpoint.
    """
    if flags.dst is None:
        raise InputError("give --dst, the directory of the run")
    if flags.weights_only and not flags.resume:
        raise InputError("weights_only needs --resume", "weights_only")
    judges = None if flags.dry_run else _judges(flags)  # before minutes of compiling
    folder = Path(flags.dst)
    limit = None if flags.stop_after is None else stop.seconds_of(flags.stop_after)
    deadline = stop.Deadline(limit)
    if flags.recipe in bundled_builds():
        return _build(flags, folder, deadline)
    recipe, data, checkpoint = _what(flags, folder)
    chosen = _devices(flags.device, flags.devices)
    say(f"Using device: {len(chosen)} x {devices.describe(chosen[0])}")
    cache_folder.enable_compilation_cache()
    with jax.default_device(chosen[0]):
        source = Source(recipe, checkpoint)
        session = _session(source, Path(data), chosen)
        if flags.dry_run:
            say(str(estimate(session, folder)))
            return 0
        return _train(flags, folder, source, session, deadline, judges or Panel())


def _build(flags: Any, folder: Path, deadline: stop.Deadline) -> int:
    """Trains a model from scratch: runs every stage that is not done yet."""
    build = load_build(flags.recipe)
    pairs = [word.partition("=") for word in (flags.data or "").split(",")]
    manifests = {name: path for name, _, path in pairs if path}
    if set(manifests) != set(build.manifests):
        wanted = ",".join(f"{name}=MANIFEST" for name in build.manifests)
        raise InputError(f"data {flags.data}: expected {wanted}", "data")
    plan = Plan(build, folder, manifests, flags.scale, flags.device)
    with postponed(warn) as came:
        ended = run_build(
            plan,
            lambda name, words: run_command(name, words, came),
            deadline=deadline,
            ignore_bars=flags.ignore_bars,
            say=say,
        )
    if ended.stopped is None:
        say(f"all {len(ended.done)} stages are done: {plan.model}")
    else:
        say(f"stage {ended.stopped} is not finished; run the same command to continue")
    return ended.code


def _what(flags: Any, folder: Path) -> tuple[Recipe, str, str | None]:
    """Recipe, data and checkpoint, from the flags or, with --resume, from the run's record."""
    changes = {}
    for word in flags.set:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(f"--set {word}: expected PATH=VALUE, for instance log.every=5")
        changes[key] = value
    if not flags.resume:
        if flags.recipe is None or flags.data is None:
            raise InputError("give --recipe and --data, or --resume to continue a run")
        return load_recipe(flags.recipe, changes), flags.data, flags.checkpoint
    before = folders.read_record(folder) if folders.is_run(folder) else None
    if before is None:
        folders.read_recipe(folder)  # raises, naming what is missing
        raise AssertionError
    if flags.recipe is not None:
        wanted = load_recipe(flags.recipe, changes)
    else:
        wanted = load_recipe(str(folder / folders.RECIPE), changes)
    recipe = folders.resumed_recipe(folder, wanted)
    return recipe, flags.data or before.data, flags.checkpoint or before.checkpoint


def _devices(platform: str, count: int) -> list[jax.Device]:
    first = devices.choose(platform)
    every = jax.devices(first.platform)
    if count > len(every):
        raise InputError(f"devices {count}: only {len(every)} available", "devices")
    return every[: count or len(every)]


def _session(source: Source, data: Path, chosen: list[jax.Device]) -> Session:
    recipe = source.recipe
    objective = registry.build(recipe.objective, source.config, recipe.options, source.components)
    for note in getattr(objective, "notes", ()):
        warn(note)
    prepared = Prepared.open(data)
    source.check_data(prepared, objective.needs)
    base = source.base(objective.components)
    return open_session(recipe, objective, base, prepared, chosen)


def _train(
    flags: Any,
    folder: Path,
    source: Source,
    session: Session,
    deadline: stop.Deadline,
    judges: Panel,
) -> int:
    counts = ", ".join(f"{name} {count:,}" for name, count in session.setup.counts().items())
    say(f"Training {counts} parameters on {len(session.batches.rows)} clips")
    if session.left_out:
        warn(
            f"{session.left_out} clips are skipped: they lack features of this recipe; prepare "
            "the data again with --for set to this recipe"
        )
    if session.validation is None:
        warn("there are no validation rows: no save is marked as best, and early stopping is off")
    with postponed(warn) as signal_received:

        def stop_reason() -> str | None:
            number = signal_received()
            if number is not None:
                return "terminated" if number == signal.SIGTERM else "interrupted"
            return deadline()

        ending = train(
            folder,
            session,
            resume=flags.resume,
            weights=weights.read_weights(folder / weights.FILE) if flags.weights_only else None,
            asked=stop_reason,
            measures=_measures(flags, folder, source, session, judges),
            report=lambda: report.write(folder),
            listeners=_listeners(folder) if flags.tensorboard else (),
            say=say,
            warn=warn,
        )
        say(f"ended after step {ending.step}: {ending.reason}")
        if ending.asked:
            say(f"resume with: python -m indextts_jax.train --dst {flags.dst} --resume")
        if not ending.asked or signal_received() is None:
            return 0
        return TERMINATED if signal_received() == signal.SIGTERM else INTERRUPTED


def _judges(flags: Any) -> Panel:
    """The requested judges."""
    speaker = flags.judge_speaker
    return Panel(
        recogniser=Recogniser(flags.judge_asr, flags.judge_language) if flags.judge_asr else None,
        embed=Speakers(read_arrays(speaker)) if speaker else None,
        quality=Quality() if flags.judge_quality else None,
        language=flags.judge_language,
    )


def _measures(
    flags: Any, folder: Path, source: Source, session: Session, judges: Panel
) -> list[Measure]:
    """The requested measures: samples and the guard."""
    found: list[Measure] = []
    recipe = session.recipe
    if flags.guard is not None:
        guarded = Prepared.open(flags.guard)
        source.check_data(guarded, session.setup.objective.needs)
        found.append(guard_of(session, guarded, log.read(folder) if flags.resume else ()))
    speaks = recipe.evaluation.samples and flags.sample_prompt and source.saved is not None
    if judges and not speaks:
        raise InputError(
            "judges need samples: give --checkpoint, --sample_prompt RECORDING, and a recipe with "
            "evaluation.samples",
            "sample_prompt",
        )
    by_judges = bool(judges) and recipe.evaluation.best == "judge"
    if flags.resume:
        check_metric(folder, read_best(folder), judges.metric if by_judges else LOSS)
    if not recipe.evaluation.samples:
        return found
    if not flags.sample_prompt or source.saved is None:
        given = "" if source.saved is not None else "--checkpoint and "
        say(f"No samples are spoken: they need {given}--sample_prompt RECORDING")
        return found
    for path in flags.sample_prompt:
        if not Path(path).is_file():
            raise InputError(f"sample_prompt {path}: file not found", "sample_prompt")
    found.append(
        Samples(
            run=folder,
            base=load_model(source.saved.path, lazy=True),
            prompts=[Path(path) for path in flags.sample_prompt],
            typical=pace(session.batches.rows),
            texts=recipe.evaluation.texts or TEXTS,
            scale=scale_of(recipe),
            fold=getattr(session.setup.objective, "fold", dict),
            judges=judges,
            judged_best=by_judges,
        )
    )
    return found


def _listeners(folder: Path) -> tuple[Any, ...]:
    from indextts_jax.training.loop.tensorboard import events

    return (events(folder),)


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="train",
        summary="trains a model on prepared data; a stopped run resumes exactly.",
        common=COMMON,
        examples=EXAMPLES,
    )
