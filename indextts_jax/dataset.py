"""`python -m indextts_jax.dataset`: speaks tables of millions of rows, each row exactly once.

python -m indextts_jax.dataset plan speech --input rows.jsonl --checkpoint indextts2 --voice anna
python -m indextts_jax.dataset run speech
python -m indextts_jax.dataset status speech
python -m indextts_jax.dataset verify speech
python -m indextts_jax.dataset merge speech

The library's part is in `jobs/`.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import adapter_flags, column_flags, prompt_flags, runner, settings_flags
from indextts_jax.cli.terminal import count_bar, note, say, warn
from indextts_jax.engine import demo, recipe
from indextts_jax.engine.settings import settings_of
from indextts_jax.errors import InputError
from indextts_jax.jobs import cluster, local, plan, progress, tables
from indextts_jax.jobs.deadline import SKIPPED, Deadline
from indextts_jax.jobs.merge import merge
from indextts_jax.jobs.output import Output
from indextts_jax.jobs.plan import LISTING, About, Pack, make_plan, read_packs, read_plan
from indextts_jax.jobs.progress import StatusFile, Tally, parse_share, parse_span, tally
from indextts_jax.jobs.recordings import finder
from indextts_jax.jobs.rows import COLUMNS, MAX_CHARACTERS, Common
from indextts_jax.jobs.verify import verify
from indextts_jax.jobs.worker import Spec
from indextts_jax.models.components import ANALYSIS, COMPONENTS
from indextts_jax.utils.strict_data import to_data

ACTIONS = ("plan", "run", "status", "verify", "merge")
ENGINES = ("local", "ray")
LEFT = 4  # exit code of a run that ended at its deadline
TITLES = {"plan": "Reading", "run": "Speaking", "verify": "Checking", "merge": "Merging"}

PLAN = (
    "input",
    "checkpoint",
    "voice",
    "speaker",
    "max_characters",
    "format",
    "pack_seconds",
    "license",
    "seed",
    "language",
    prompt_flags.EXCERPT,
    *adapter_flags.FLAGS,
)
RUN = (
    "engine",
    "workers",
    "max_workers",
    "shard",
    "deadline",
    "max_failed",
    "batch",
    "device",
    "ray_address",
    "cpus",
    "gpus",
    "tpus",
)
VERIFY = ("decode", "remove_damaged", "threads")
MERGE = ("dst", "with_faulty", "partial", "force")
OF_ACTIONS = {"run": RUN, "status": ("json",), "verify": VERIFY, "merge": MERGE}
COMMON = (
    "action",
    "output",
    "input",
    "checkpoint",
    "voice",
    "format",
    "engine",
    "workers",
    "shard",
    "deadline",
    "max_failed",
    "batch",
    "device",
    "dtype",
    "dst",
)
GROUPS = {
    "plan": PLAN,
    "plan: how to speak": (*settings_flags.DELIVERY, *settings_flags.SAMPLING, "dtype"),
    "run": RUN,
    "status, verify": ("json", *VERIFY),
    "merge": MERGE,
}
EXAMPLES = (
    "dataset plan speech --input rows.jsonl --checkpoint indextts2 --voice anna",
    "dataset run speech --batch 32",
    "dataset run speech --engine ray --ray_address auto --workers 64 --gpus 1",
    "dataset verify speech",
    "dataset merge speech --dst merged",
)


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text, whole, number, switch, choice = (
        absl_flags.DEFINE_string,
        absl_flags.DEFINE_integer,
        absl_flags.DEFINE_float,
        absl_flags.DEFINE_bool,
        absl_flags.DEFINE_enum,
    )
    choice("action", None, list(ACTIONS), f"What to do: {', '.join(ACTIONS)}.", **own)
    text("output", None, "Directory of the data set.", **own)
    absl_flags.DEFINE_multi_string(
        "input",
        None,
        "Rows: .jsonl, .csv, .tsv, .parquet, patterns of them, directories, addresses; or a "
        "directory of .txt files.",
        **own,
    )
    absl_flags.DEFINE_list(
        "columns", [], f"Columns of other names: text=sentence. Ours: {', '.join(COLUMNS)}.", **own
    )
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    adapter_flags.define(own)
    text("voice", None, "Voice of rows that name none: a saved voice, or a recording.", **own)
    text("speaker", None, "The same as --voice; demo: a sample.", **own)
    prompt_flags.define(own)
    whole("max_characters", MAX_CHARACTERS, "Longest text of a row.", lower_bound=1, **own)
    choice("format", plan.FORMATS[0], list(plan.FORMATS), "Files of recordings.", **own)
    number("pack_seconds", plan.PACK_SECONDS, "Estimated audio of a pack (s).", **own)
    text("license", "", "Terms of the data set, for its card, such as CC-BY-4.0.", **own)
    whole("seed", 0, "Random seed of rows that have none.", lower_bound=0, **own)
    settings_flags.define(flags)
    text("language", None, "Language of rows that name none, for IndexTTS-2.5.", **own)
    choice("engine", ENGINES[0], list(ENGINES), "What runs the workers.", **own)
    whole("workers", None, "Workers; by default one for each device.", lower_bound=1, **own)
    whole("max_workers", None, "With ray: most workers, if the cluster grows.", **own)
    text("shard", None, "Packs I modulo N alone, as I/N from 0, for Slurm and TPU pods.", **own)
    text("deadline", None, "Time after which the run ends, such as 3h30m.", **own)
    text("max_failed", "1%", "Share of rows not spoken that ends the run with code 3.", **own)
    text("ray_address", None, "Running Ray cluster (auto: of this machine or job).", **own)
    number("cpus", 1.0, "With ray: CPUs of a worker.", lower_bound=0.0, **own)
    number("gpus", 0.0, "With ray: GPUs of a worker.", lower_bound=0.0, **own)
    number("tpus", 0.0, "With ray: TPU chips of a worker.", lower_bound=0.0, **own)
    switch("json", False, "Print the status as JSON.", **own)
    switch("decode", True, "Decode every recording.", **own)
    switch("remove_damaged", False, "Remove markers of damaged packs; run makes them again.", **own)
    whole("threads", min(8, os.cpu_count() or 1), "Threads of verify.", lower_bound=1, **own)
    text("dst", None, "Directory of the merged set; by default OUTPUT/merged.", **own)
    switch("with_faulty", False, "Merge rows with faults, too.", **own)
    switch("partial", False, "Merge what is there, though packs are missing.", **own)
    switch("force", False, "Replace an earlier merged set.", **own)


def main(flags: Any) -> int:
    """Runs one action; returns its exit code."""
    if flags.action is None or not flags.output:
        raise InputError(
            f"give an action ({', '.join(ACTIONS)}) and the directory of the data set, such as "
            "dataset status speech"
        )
    _check_flags(flags)
    output = Output(Path(flags.output).absolute())
    actions = {
        "plan": _plan,
        "run": _run,
        "status": _status,
        "verify": _verify,
        "merge": _merge,
    }
    return actions[flags.action](flags, output)


def _check_flags(flags: Any) -> None:
    """Rejects flags of another action, which would have no effect.

    Raises:
        InputError: naming one.
    """
    known = {"action", "output", "help", "helpfull"}
    other = {name for names in OF_ACTIONS.values() for name in names} - {"batch"}
    mine = set(OF_ACTIONS.get(flags.action, ()))
    for name in flags:
        if not flags[name].present or name in known:
            continue
        if flags.action != "plan" and name not in mine:
            raise InputError(f"--{name} belongs to another action than {flags.action}")
        if flags.action == "plan" and name in other:
            raise InputError(f"--{name} belongs to another action than plan")


def _plan(flags: Any, output: Output) -> int:
    if not flags.input or not flags.checkpoint:
        raise InputError("to plan give --input TABLE and --checkpoint DIR")
    if flags.voice and flags.speaker:
        raise InputError("--speaker and --voice are mutually exclusive")
    if flags.duration is not None:
        raise InputError("--duration is for one output; rows have a column speed")
    saved = open_checkpoint(flags.checkpoint)
    settings = settings_flags.settings(flags, settings_of(saved.settings))
    voice = flags.voice or flags.speaker
    common = Common(
        columns=column_flags.parse(flags.columns),
        voice=None if voice is None else _as_named(voice),
        seed=flags.seed,
        language=flags.language,
        max_characters=flags.max_characters,
    )
    applied = adapter_flags.read(flags)
    glossary = settings.glossary
    plain = to_data(settings) | {"glossary": None, "batch": 1}
    about = About(
        checkpoint=str(Path(flags.checkpoint).absolute()),
        fingerprint=saved.provenance.fingerprint(
            name for name in COMPONENTS if name not in recipe.NOT_SPEAKING
        ),
        settings=plain,
        glossary=None if glossary is None else to_data(glossary)["terms"],
        dtype=flags.dtype,
        fused_attention=flags.fused_attention,
        adapters=tuple(str(Path(name).absolute()) for name in flags.adapter),
        adapter_strength=tuple(flags.adapter_strength) if applied else (),
        adapter_digests=tuple(str(to_data(one.use)) for one in applied),
        excerpt=flags.prompt_excerpt,
    )
    with contextlib.ExitStack() as undo:
        undo.callback(_remove_listing, output)
        found = tables.sources(flags.input, output.path / LISTING)
        find = finder(
            saved.provenance.fingerprint(ANALYSIS), {prompt_flags.SAMPLE: demo.demo_speaker()}
        )
        with _bar("plan", "row", None) as show:
            made = make_plan(
                output,
                found,
                common,
                about,
                find,
                audio=flags.format,
                pack_seconds=flags.pack_seconds,
                licence=flags.license,
                progress=lambda rows: show(rows, rows, ""),
            )
    for line in made.problems:
        warn(f"refused: {line}")
    one = made.plan
    say(
        f"{output.path}: {one.rows:,} rows ({one.refused:,} refused, {one.same:,} equal to an "
        f"earlier one), {made.packs:,} packs, about {progress.span(one.seconds)} of audio\n"
        f"Speak it: python -m indextts_jax.dataset run {flags.output}"
    )
    return 0


def _remove_listing(output: Output) -> None:
    """Removes the listing of a plan that was not made, and the directory if it is empty."""
    if not (output.path / plan.PLAN).exists():
        (output.path / LISTING).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            output.path.rmdir()


def _as_named(voice: str) -> str:
    """A voice as all tables can name it: a path from the current directory becomes absolute."""
    return str(Path(voice).absolute()) if Path(voice).is_file() else voice


def _shard(word: str | None) -> tuple[int, int]:
    """The part of all packs that a word such as `3/64` stands for.

    Raises:
        InputError: if it is of another form.
    """
    if word is None:
        return 0, 1
    first, mark, second = word.partition("/")
    if not (mark and first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise InputError(f"shard must be I/N with I from 0 to N - 1, such as 3/64, got {word}")
    return int(first), int(second)


def _run(flags: Any, output: Output) -> int:
    share = parse_share(flags.max_failed)
    deadline = Deadline(
        None if flags.deadline is None else time.time() + parse_span(flags.deadline)
    )
    index, count = _shard(flags.shard)
    read_plan(output)
    packs = [pack for pack in read_packs(output) if pack.number % count == index]
    output.prepare()
    found = tally(output, packs)
    done = output.done()
    waiting = [pack for pack in packs if pack.number not in done]
    name = progress.STATUS if count == 1 else f"status-{index}-of-{count}.json"
    status = StatusFile(output, name)
    if found.done:
        say(f"{found.done:,} of {found.packs:,} packs are done: resuming")
    code = 3 if found.too_many(share) else 0
    if waiting and not code:
        code = _speak(flags, output, waiting, found, deadline, share, status)
    status.write(found, exit_code=code)
    if found.done == found.packs and count == 1:
        output.remove_attempts()
    say(found.text())
    if code == runner.FAULTY:
        warn(
            f"{found.unspoken:,} of {found.rows_done:,} rows could not be spoken, more than "
            f"--max_failed {flags.max_failed}: see the column reasons of data/rows-*.parquet"
        )
    elif code == LEFT:
        warn(f"the deadline was reached: {found.packs - found.done:,} packs are left; run again")
    return code


def _speak(
    flags: Any,
    output: Output,
    packs: Sequence[Pack],
    found: Tally,
    deadline: Deadline,
    share: float,
    status: StatusFile,
) -> int:
    """Runs an engine until the packs are done, too many rows fail, or the time is over."""
    estimates = {pack.number: pack.seconds for pack in packs}
    counted = found.rows_done
    with _bar("run", "row", found.rows) as show, contextlib.ExitStack() as stack:
        rows = counted

        def on_row() -> None:
            nonlocal rows
            rows = min(rows + 1, found.rows)
            show(rows, found.rows, _rate(found))

        engine = _engine(flags, output, packs, deadline, on_row)
        stack.callback(engine.close)  # ends all workers, also for a signal
        show(rows, found.rows, "")
        note(
            f"run: {len(packs):,} packs with the engine {flags.engine}; the first rows come when "
            "the model is loaded and its programs are compiled"
        )
        status.write(found)
        for made in engine:
            if made.get(SKIPPED):
                continue
            found.add(made, estimates[made["pack"]])
            rows = max(rows, found.rows_done)
            show(rows, found.rows, _rate(found))
            status.write(found)
            if found.too_many(share):
                return runner.FAULTY
    return 0 if found.done == found.packs else LEFT


def _rate(found: Tally) -> str:
    left = found.left()
    if not found.compute:
        return ""
    shown = "" if left is None else f", {progress.span(left)} left"
    return f"{progress.span(found.audio)} of audio{shown}"


def _engine(
    flags: Any, output: Output, packs: Sequence[Pack], deadline: Deadline, on_row: Any
) -> Any:
    options = {"device": flags.device, "batch": flags.batch}
    spec = Spec(output=str(output.path), options=options)
    if flags.engine == "ray":
        workers = flags.workers or 1
        return cluster.speak_on_ray(
            packs,
            spec,
            cluster.Cluster(
                address=flags.ray_address,
                workers=(workers, max(workers, flags.max_workers or 0)),
                cpus=flags.cpus,
                gpus=flags.gpus,
                tpus=flags.tpus,
            ),
            deadline,
        )
    for name in ("ray_address", "max_workers", "cpus", "gpus", "tpus"):
        if flags[name].present:
            raise InputError(f"--{name} needs --engine ray")
    return local.speak_local(packs, local.specs(spec, flags.workers), deadline, on_row)


def _status(flags: Any, output: Output) -> int:
    read_plan(output)
    found = tally(output, read_packs(output))
    say(json.dumps(found.data(), indent=1) if flags.json else found.text())
    return 0


def _verify(flags: Any, output: Output) -> int:
    with _bar("verify", "pack", None) as show:
        report = verify(
            output,
            decode=flags.decode,
            threads=flags.threads,
            progress=lambda done, of: show(done, of, ""),
        )
    say(report.text())
    if flags.remove_damaged:
        for pack in report.damaged:
            output.marker_path(pack).unlink(missing_ok=True)
        if report.damaged:
            say(f"removed the markers of {len(report.damaged):,} packs: run makes them again")
    return 0 if report.clean else runner.FAILURE


def _merge(flags: Any, output: Output) -> int:
    target = Path(flags.dst) if flags.dst else output.path / "merged"
    with _bar("merge", "pack", None) as show:
        merge(
            output,
            target,
            faulty=flags.with_faulty,
            partial=flags.partial,
            force=flags.force,
            progress=lambda done, of: show(done, of, ""),
        )
    say(f"wrote {target}: train with it by python -m indextts_jax.prepare --manifest {target}/data")
    return 0


@contextlib.contextmanager
def _bar(action: str, unit: str, total: int | None) -> Iterator[Any]:
    with count_bar(TITLES[action], unit, leave=False, disable=None) as show:
        yield show


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="dataset",
        summary="speaks tables of rows on many devices: plan, run, status, verify, merge.",
        common=COMMON,
        positional=("action", "output"),
        groups=GROUPS,
        examples=EXAMPLES,
    )
