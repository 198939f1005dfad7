"""`python -m indextts_jax.import`: published files in, a checkpoint out."""

import dataclasses
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags
from tqdm import tqdm

from importers.assembly import ALL, WORDS, Sources, base_of, config_of, open_sources, save
from importers.release.locate import AUXILIARY
from importers.table import ImportMismatch, Tree
from importers.text_emotion import FOLDER
from indextts_jax.checkpoint import reading
from indextts_jax.config import DTYPES
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.utils.text_table import table

SUMMARY = "published PyTorch files to a checkpoint of this program."
COMMON = ("src", "dst", "dtype", "components", "ignore", "force", "dry_run")
EXAMPLES = (
    "import --src checkpoints/ --dst indextts2",
    "import --src checkpoints/ --dst indextts2 --dtype bfloat16",
    "import --components text_emotion --src checkpoints/ --dst indextts2",
)
DEFAULT_DST = "indextts_jax"  # below --src


def define(flags: absl_flags.FlagValues) -> None:
    """The flags of this command."""
    own: dict[str, Any] = {"flag_values": flags}
    text, words, switch = absl_flags.DEFINE_string, absl_flags.DEFINE_list, absl_flags.DEFINE_bool
    text("src", None, "Folder of the published files: config.yaml, gpt.pth, s2mel.pth, ...", **own)
    text(
        "dst",
        None,
        f"Folder to write the checkpoint to (by default {DEFAULT_DST} in --src).",
        **own,
    )
    absl_flags.DEFINE_enum(
        "dtype", "float32", list(DTYPES), "What weights are stored in; tables stay float32.", **own
    )
    words(
        "components",
        None,
        f"Import only these of {', '.join(ALL)}; a checkpoint at --dst keeps its others.",
        **own,
    )
    words(
        "ignore",
        [],
        "Exact names of keys of config.yaml (bigvgan.KEY, w2v_bert.KEY and text_emotion.KEY: of "
        "those models' own config.json), and of arrays, to pass over. They are noted in the "
        "checkpoint.",
        **own,
    )
    switch(
        "force",
        False,
        "Replace the checkpoint that is at --dst (with --components: those of them that it has).",
        **own,
    )
    switch(
        "dry_run", False, "Check names, shapes and settings, read no weights, write nothing.", **own
    )
    for auxiliary in AUXILIARY.values():
        text(
            auxiliary.flag,
            None,
            f"Folder or file of {auxiliary.repository}, if it is not where it belongs in --src.",
            **own,
        )
    text(
        WORDS,
        None,
        f"Folder of the text-to-emotion model, if it is not {FOLDER} in --src.",
        **own,
    )


@dataclasses.dataclass
class Row:
    """What became of one component."""

    component: str
    read: int  # arrays
    dropped: int  # arrays
    parameters: int
    bytes: int
    seconds: float | None = None


def plan_all(sources: Sources, components: Sequence[str]) -> list[Row]:
    """What importing these components reads, drops and writes."""
    rows = []
    for component in components:
        parts = sources.plans_of(component)
        plans = [plan for plan, _ in parts]
        leaves = [leaf for _, expected in parts for leaf in jax.tree.leaves(expected)]
        rows.append(
            Row(
                component,
                sum(len(plan.read) for plan in plans),
                sum(len(plan.dropped) for plan in plans),
                sum(math.prod(leaf.shape) for leaf in leaves),
                sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves),
            )
        )
    return rows


def _read_all(
    src: Path, sources: Sources, rows: Sequence[Row], bar: Any
) -> Iterator[tuple[str, Tree]]:
    """The components one after the other; of each, the time until the next is asked for.

    Once one is wrong, the others are only read for what is wrong with them.

    Raises:
        ImportMismatch: at the end, with everything that is wrong with any.
    """
    problems: list[str] = []
    for row in rows:
        start = time.perf_counter()
        bar.set_postfix_str(row.component)
        try:
            params = sources.read(row.component, bar.update)
        except ImportMismatch as error:
            problems += error.problems
            continue
        if not problems:
            yield row.component, params
        del params
        row.seconds = time.perf_counter() - start
    if problems:
        raise ImportMismatch(str(src), problems)


def _check_space(target: Path, needed: int) -> None:
    parent = next(folder for folder in target.parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise InputError(
            f"{parent} has {free / 1e6:,.1f} MB free; the checkpoint needs {needed / 1e6:,.1f} MB"
        )


def report(rows: Sequence[Row]) -> str:
    """The table at the end."""
    total = Row(
        "total",
        sum(row.read for row in rows),
        sum(row.dropped for row in rows),
        sum(row.parameters for row in rows),
        sum(row.bytes for row in rows),
        None if any(row.seconds is None for row in rows) else sum(row.seconds or 0 for row in rows),
    )
    return table(
        ("component", "read", "dropped", "parameters", "bytes", "seconds"),
        [
            (
                row.component,
                f"{row.read:,}",
                f"{row.dropped:,}",
                f"{row.parameters:,}",
                f"{row.bytes:,}",
                "-" if row.seconds is None else f"{row.seconds:.1f}",
            )
            for row in (*rows, total)
        ],
    )


def _components(names: Sequence[str] | None) -> tuple[str, ...]:
    """What is asked for, in the order of the model."""
    if names is None:
        return ALL
    if unknown := [name for name in names if name not in ALL]:
        raise InputError(f"--components: unknown {', '.join(unknown)}; there are {', '.join(ALL)}")
    if not names:
        raise InputError(f"--components names none of {', '.join(ALL)}")
    return tuple(name for name in ALL if name in names)


@dataclasses.dataclass(frozen=True)
class Imported:
    """What became of an import; `str` gives what there is to tell."""

    path: Path  # of the checkpoint
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    written: bool  # nothing was, of a dry run

    def __str__(self) -> str:
        """The table, and a line for each note."""
        end = f"wrote {self.path}" if self.written else "nothing was written (--dry_run)"
        return "\n".join([report(self.rows), *self.notes, end])


def main(flags: Any) -> None:
    """Reads the flags, imports, prints the table."""
    print(perform(flags))


def perform(flags: Any, *, quiet: bool = False) -> Imported:
    """Imports what the flags say; the progress is shown on standard error, unless `quiet`.

    Raises:
        InputError: for flags, files or a destination that will not do.
    """
    if not flags.src:
        raise InputError("give --src DIR, the folder of the published files")
    src = Path(flags.src)
    target = Path(flags.dst) if flags.dst else src / DEFAULT_DST
    components = _components(flags.components)
    base = None
    if not flags.dry_run and src.resolve().is_relative_to(target.resolve()):
        raise InputError(f"--src {src} lies in {target}, where the checkpoint is to be written")
    if not flags.dry_run or (flags.components is not None and reading.is_checkpoint(target)):
        base = base_of(target, flags, components)
    dtype = flags.dtype if base is None else base.provenance.dtype
    sources = open_sources(src, flags, components, dtype, alone=base is not None)
    if sources.words is None:
        components = tuple(name for name in components if name != WORDS)
    config = config_of(sources, base)
    rows = plan_all(sources, components)
    if not flags.dry_run:
        _check_space(target.absolute(), sum(row.bytes for row in rows))
        with tqdm(
            total=sum(row.read for row in rows),
            desc="Importing",
            unit=" arrays",
            file=sys.stderr,
            disable=quiet,
        ) as bar:
            save(
                target,
                flags.force,
                dtype,
                config,
                sources,
                base,
                _read_all(src, sources, rows, bar),
                components,
            )
    held = {*components, *(base.components if base is not None else ())}
    notes = []
    if sources.ignored:
        notes.append(f"ignored, as asked: {', '.join(sources.ignored)}")
    if missing := [name for name in COMPONENTS if name not in held]:
        notes.append(f"a part of the model: without {', '.join(missing)}")
    if WORDS not in held and flags.components is None:
        notes.append(
            f"without {WORDS} (emotion from words): there is no folder {FOLDER}; to add it later: "
            f"python -m indextts_jax.import --components {WORDS} --src DIR --dst {target}"
        )
    if sources.words is not None:
        notes += sources.words.notes
    if base is not None and (kept := [name for name in base.components if name not in components]):
        notes.append(f"kept as they were: {', '.join(kept)}")
    return Imported(target, tuple(rows), tuple(notes), not flags.dry_run)
