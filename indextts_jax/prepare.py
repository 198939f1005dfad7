"""`python -m indextts_jax.prepare`: computes the features for training from recordings and texts.

The library's part is in `training/data`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags as absl_flags

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.checkpoint.writing import check_destination
from indextts_jax.cli import column_flags, runner
from indextts_jax.cli.interruption import abandonable
from indextts_jax.cli.terminal import count_bar, say, warn
from indextts_jax.config import (
    EMOTIONS,
    RELEASES,
    ModelConfig,
    bundled_config,
    load_config,
)
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.text.glossary import Glossary
from indextts_jax.training.data import features, make_tokenizer, prepare, prototypes
from indextts_jax.training.data.estimate import estimate
from indextts_jax.training.data.job import Job
from indextts_jax.training.data.prepared import TOKENIZER
from indextts_jax.training.data.rows.checks import Limits
from indextts_jax.training.data.rows.manifest import COLUMNS, Clip, Reading, Source, read_manifests
from indextts_jax.training.data.rows.recording import Trim
from indextts_jax.training.data.rows.survey import survey
from indextts_jax.training.data.rows.texts import TextTokenizer
from indextts_jax.training.versions.interface import kind_named, kind_of

COMMON = (
    "manifest",
    "checkpoint",
    "config",
    "dst",
    "for",
    "columns",
    "one_speaker",
    "dry_run",
    "max_rejected",
    "make_tokenizer",
    "pieces",
    "device",
)
GROUPS = {
    "What to read": (
        "manifest",
        "columns",
        "one_speaker",
        "speaker_from_path",
        "glossary",
        "text_compat",
    ),
    "What to make": (
        "dst",
        "for",
        "checkpoint",
        "config",
        "tokenizer",
        "make_tokenizer",
        "pieces",
        "own_prompts",
        "prototypes",
        "validation",
        "seed",
    ),
    "Checks": (
        "max_rejected",
        "min_seconds",
        "max_seconds",
        "max_silence",
        "keep_silence",
        "allow_unknown",
        "min_clips",
        "min_minutes",
    ),
    "Run": ("dry_run", "device", "batch_seconds", "workers"),
}
EXAMPLES = (
    "prepare --manifest a.jsonl --checkpoint indextts2 --dst prepared --dry_run",
    "prepare --manifest a.jsonl --checkpoint indextts2 --dst prepared --for gpt",
    "prepare --manifest LJSpeech --one_speaker --checkpoint indextts2 --dst lj",
    "prepare --manifest a --dst b --for style,vocoder --config tiny",
    "prepare --prototypes labels.csv --checkpoint indextts2 --dst with_emotions",
)


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    limits, trim, job = Limits(), Trim(), Job(dst=Path(), version="")
    text, number, whole = (
        absl_flags.DEFINE_string,
        absl_flags.DEFINE_float,
        absl_flags.DEFINE_integer,
    )
    switch = absl_flags.DEFINE_bool
    absl_flags.DEFINE_multi_string(
        "manifest",
        None,
        "Rows of audio, text, speaker: .jsonl, .csv, .tsv, .parquet, .tar (WebDataset), a "
        "directory, LJSpeech; of replay.jsonl@0.15 a clip is used in 15 % of the epochs, and "
        "not for validation beside clips of a larger weight.",
        **own,
    )
    absl_flags.DEFINE_list(
        "columns", [], f"Columns of other names: text=sentence. Ours: {', '.join(COLUMNS)}.", **own
    )
    switch("one_speaker", False, "Clips without a speaker all have the same one.", **own)
    whole(
        "speaker_from_path",
        0,
        "Take the speaker from the name of the directory this many levels above the recording.",
        lower_bound=0,
        **own,
    )
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    text(
        "config",
        None,
        "Instead of --checkpoint: sizes (a bundled name or a .yaml), to train from scratch.",
        **own,
    )
    text(
        "tokenizer",
        None,
        "With --config: the tokenizer's file (a SentencePiece model, or ranks for 2.5).",
        **own,
    )
    text("make_tokenizer", None, "With --config: train a tokenizer, char or unigram.", **own)
    whole("pieces", 1000, "Largest vocabulary of the new tokenizer.", lower_bound=8, **own)
    text(
        "prototypes",
        None,
        "Instead of --manifest: a table of audio, emotion, speaker; writes a checkpoint with "
        "emotion prototypes made from it.",
        **own,
    )
    text("dst", None, "Directory to write; an existing one is updated.", **own)
    absl_flags.DEFINE_list(
        "for",
        ["gpt", "flow"],
        f"Recipes to prepare for: {', '.join(kind_named('2.0').RECIPES)}.",
        **own,
    )
    switch("own_prompts", False, "Use a clip as its own prompt if its speaker has no other.", **own)
    whole("validation", None, "Clips to hold out; by default 2 %.", lower_bound=0, **own)
    whole("seed", job.seed, "Chooses which clips are held out.", **own)
    number(
        "max_rejected",
        0.2,
        "Exit with code 3, before anything is written, if a larger share of rows is rejected.",
        lower_bound=0.0,
        upper_bound=1.0,
        **own,
    )
    number("min_seconds", limits.min_seconds, "Shortest clip (s).", **own)
    number("max_seconds", limits.max_seconds, "Longest clip (s).", **own)
    number("max_silence", trim.longest, "Longest silence left as it is at either end (s).", **own)
    number("keep_silence", trim.kept, "Length to which longer silence is cut (s).", **own)
    switch(
        "allow_unknown", False, "Keep texts with pieces that the tokenizer does not know.", **own
    )
    whole(
        "min_clips", limits.min_clips, "Smallest number of clips in the set.", lower_bound=1, **own
    )
    number(
        "min_minutes",
        limits.min_minutes,
        "Smallest amount of speech in the set (minutes).",
        lower_bound=0.0,
        **own,
    )
    text("glossary", None, "YAML file of terms and their readings, as for synth.", **own)
    switch(
        "text_compat", False, "Normalize texts as the PyTorch release does, as for synth.", **own
    )
    switch("dry_run", False, "Check everything, estimate time and disk, write nothing.", **own)
    absl_flags.DEFINE_enum(
        "device", "auto", list(devices.PLATFORMS), "Where the networks run.", **own
    )
    number("batch_seconds", job.batch_seconds, "Seconds of audio in a batch.", **own)
    whole("workers", job.workers, "Threads that decode and check recordings.", lower_bound=1, **own)


def main(flags: Any) -> int:
    """Checks the clips, prints the report and computes the missing features.

    Raises:
        InputError: for unusable flags, manifests or data sets.
    """
    if flags.prototypes is not None:
        return _prototypes(flags)
    _check(flags)
    model_facts = _model_facts(flags)
    config = model_facts.config
    job = _job(flags, config)
    reading = _reading(flags, job)
    clips = read_manifests([Source.parse(text) for text in flags.manifest], reading)
    tokenizer = _tokenizer(flags, model_facts, clips, job)
    wanted = features.components_of(job.features, config.version)
    with abandonable():
        with count_bar("Checking", "clip", leave=False, disable=None) as show:
            found = survey(clips, job, config, tokenizer, keep=not flags.dry_run, on_progress=show)
        say(found.report.text())
        if not flags.dry_run:
            job.dst.mkdir(parents=True, exist_ok=True)
            found.report.write(job.dst)
        if found.report.share > flags.max_rejected:
            warn(
                f"{found.report.share:.1%} of the rows are rejected, more than --max_rejected "
                f"{flags.max_rejected:g}: nothing was made"
            )
            return runner.FAULTY
        if found.report.refusal is not None:
            raise InputError(found.report.refusal, "min_clips", "min_minutes")
        device = devices.choose(flags.device)
        if wanted:
            say(f"Using device: {devices.describe(device)}")
            cache_folder.enable_compilation_cache()
        with (
            jax.default_device(device),
            count_bar("Preparing", "clip", leave=False, disable=None) as show,
        ):
            model = _model(flags, wanted)
            if flags.dry_run:
                say(str(estimate(found, job, config, model)))
                say("--dry_run: nothing was written")
                return 0
            data, made = prepare.write(found, job, config, tokenizer, model, on_progress=show)
    new = ", ".join(f"{count:,} {name}" for name, count in made.items()) or "nothing"
    say(f"made: {new}")
    say(f"{job.dst}: {len(data.rows):,} clips, digest {data.digest[:12]}")
    return 0


def _prototypes(flags: Any) -> int:
    """Writes a checkpoint with emotion prototypes made from labelled clips."""
    if flags.manifest or flags.config or not flags.checkpoint or not flags.dst:
        raise InputError(
            "--prototypes needs --checkpoint DIR and --dst DIR (the checkpoint to write), and "
            "neither --manifest nor --config",
            "prototypes",
        )
    labels = prototypes.read_labels(Path(flags.prototypes))
    check_destination(flags.dst)
    saved = open_checkpoint(flags.checkpoint)
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    cache_folder.enable_compilation_cache()
    with (
        abandonable(),
        jax.default_device(device),
        count_bar("Analysing", "clip", leave=False, disable=None) as show,
    ):
        model = load_model(flags.checkpoint, components=prototypes.COMPONENTS, lazy=True)
        made = prototypes.make(model, labels, show)
        rows = ", ".join(f"{name} {n}" for name, n in zip(EMOTIONS, made.groups, strict=True))
        say(f"{len(labels):,} clips; rows: {rows}")
        if flags.dry_run:
            say("--dry_run: nothing was written")
            return 0
        prototypes.write(saved, made, Path(flags.dst))
    say(f"wrote {flags.dst}")
    return 0


def _check(flags: Any) -> None:
    if not flags.manifest:
        raise InputError("give --manifest, at least once")
    if not flags.dst:
        raise InputError("give --dst DIR, the directory for the prepared data")
    if bool(flags.checkpoint) == bool(flags.config):
        raise InputError("give --checkpoint DIR, or --config NAME to train from scratch")
    for name in ("tokenizer", "make_tokenizer"):
        if getattr(flags, name) is not None and not flags.config:
            raise InputError(f"--{name} needs --config: a checkpoint has its own tokenizer")


def _job(flags: Any, config: ModelConfig) -> Job:
    job = Job(
        dst=Path(flags.dst),
        version=config.version,
        recipes=tuple(dict.fromkeys(getattr(flags, "for"))),
        limits=Limits(
            min_seconds=flags.min_seconds,
            max_seconds=flags.max_seconds,
            allow_unknown=flags.allow_unknown,
            min_clips=flags.min_clips,
            min_minutes=flags.min_minutes,
        ),
        trim=Trim(longest=flags.max_silence, kept=flags.keep_silence),
        text_compat=flags.text_compat,
        glossary=Glossary.load(flags.glossary) if flags.glossary else None,
        own_prompts=flags.own_prompts,
        validation=flags.validation,
        seed=flags.seed,
        batch_seconds=flags.batch_seconds,
        workers=flags.workers,
    )
    wanted = features.components_of(job.features, job.version)
    if wanted and flags.config:
        raise InputError(
            f"--for {','.join(job.recipes)} needs {', '.join(wanted)}: give --checkpoint DIR "
            "instead of --config"
        )
    return job


def _reading(flags: Any, job: Job) -> Reading:
    return Reading(
        columns=column_flags.parse(flags.columns),
        one_speaker=flags.one_speaker,
        speaker_from_path=flags.speaker_from_path,
        text=job.reads,
    )


class ModelFacts(NamedTuple):
    """A model without its arrays."""

    config: ModelConfig
    tokenizer: bytes | None  # of a checkpoint


def _model_facts(flags: Any) -> ModelFacts:
    if flags.checkpoint:
        saved = open_checkpoint(flags.checkpoint)
        return ModelFacts(saved.config, saved.tokenizer)
    name = str(flags.config)
    try:
        config = load_config(name) if name.endswith((".yaml", ".yml")) else bundled_config(name)
    except FileNotFoundError as error:
        raise InputError(
            f"--config {name}: no such configuration; give a bundled name such as tiny, "
            "or a path that ends in .yaml"
        ) from error
    return ModelFacts(config, None)


def _tokenizer(
    flags: Any, facts: ModelFacts, clips: Sequence[Clip], job: Job
) -> TextTokenizer | None:
    """The tokenizer; None without a checkpoint if no recipe reads texts."""
    load: Callable[[bytes], TextTokenizer] = version_of(facts.config).tokenizer
    if facts.tokenizer is not None:
        return load(facts.tokenizer)
    if not job.reads:
        return None
    if flags.tokenizer is not None and flags.make_tokenizer is not None:
        raise InputError("--tokenizer and --make_tokenizer are mutually exclusive")
    if flags.tokenizer is not None:
        return load(_contents(flags.tokenizer))
    if flags.make_tokenizer is None:
        before = job.dst / TOKENIZER
        if before.is_file():
            return load(before.read_bytes())
        raise InputError("with --config give --tokenizer FILE, or --make_tokenizer char|unigram")
    if not kind_of(facts.config).MAKES_TOKENIZER:
        name = RELEASES[facts.config.version].name
        raise InputError(f"--make_tokenizer: the tokenizer of {name} is not made here")
    made = make_tokenizer.of_clips(
        [clip.text for clip in clips],
        flags.make_tokenizer,
        flags.pieces,
        compat=job.text_compat,
        glossary=job.glossary,
    )
    return load(made)


def _contents(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"--tokenizer {path}: {error.strerror}") from error


def _model(flags: Any, wanted: Sequence[str]) -> Model | None:
    return load_model(flags.checkpoint, components=wanted, lazy=True) if wanted else None


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="prepare",
        summary="computes the features for training from recordings and texts.",
        common=COMMON,
        groups=GROUPS,
        examples=EXAMPLES,
    )
