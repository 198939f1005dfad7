"""Imports the published files from Python: converts them to a checkpoint."""

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax

from importers.assembly import (
    ALL,
    NAMED,
    WORDS,
    ImportOptions,
    Sources,
    base_of,
    config_of,
    open_sources,
    save,
)
from importers.table import ImportMismatch, Tree
from importers.text_emotion import FOLDER
from indextts_jax.checkpoint import reading
from indextts_jax.config import DTYPES
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, TRAINING
from indextts_jax.utils.text_table import table

DEFAULT_DST = "indextts_jax"  # below `src`
Progress = Callable[[int, int, str], None]  # arrays read, total arrays, component being read


@dataclasses.dataclass
class Row:
    """The result for one component."""

    component: str
    read: int  # arrays
    dropped: int  # arrays
    parameters: int
    bytes: int
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Imported:
    """The result of an import; `str` gives the table that the command prints."""

    path: Path  # of the checkpoint
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    written: bool  # false after a dry run

    def __str__(self) -> str:
        """The table, and a line for each note."""
        end = f"wrote {self.path}" if self.written else "nothing was written (dry run)"
        return "\n".join([_report(self.rows), *self.notes, end])


def import_checkpoint(
    src: str | Path,
    dst: str | Path | None = None,
    *,
    dtype: str | None = None,
    components: Sequence[str] | None = None,
    training: bool = False,
    ignore: Sequence[str] = (),
    force: bool = False,
    dry_run: bool = False,
    w2v_bert: str | Path | None = None,
    semantic_codec: str | Path | None = None,
    campplus: str | Path | None = None,
    bigvgan: str | Path | None = None,
    text_emotion: str | Path | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Converts the published PyTorch files below `src` to a checkpoint at `dst`.

    By default that is the directory `indextts_jax` in `src`. Nothing is written unless everything
    matches. The arguments are the flags of `python -m indextts_jax.import`: `dtype` is that of
    stored weights (default float32), `components` imports only these, or adds them to a checkpoint,
    `training` keeps what only training needs (the GPT's text head, as `training_heads`), `ignore`
    skips names, `force` replaces an existing checkpoint, `dry_run` only checks; the next five
    locate files of other repositories that are not in their usual places. `progress` is called
    after each array with the number of arrays read, the total, and the component being read.

    Raises:
        InputError: for files that are missing, damaged or do not match, with the reason for each;
            for an existing destination, or a disk that is too small.
    """
    options = ImportOptions(
        src=src,
        dst=dst,
        dtype=dtype,
        components=components,
        training=training,
        ignore=ignore,
        force=force,
        dry_run=dry_run,
        w2v_bert=w2v_bert,
        semantic_codec=semantic_codec,
        campplus=campplus,
        bigvgan=bigvgan,
        text_emotion=text_emotion,
    )
    return run(options, progress)


def run(options: ImportOptions, progress: Progress | None = None) -> Imported:
    """Imports according to the options; see `import_checkpoint`."""
    if not options.src:
        raise InputError("give --src DIR, the directory of the published files")
    if options.dtype not in (None, *DTYPES):
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {options.dtype!r}")
    src = Path(options.src)
    target = Path(options.dst) if options.dst else src / DEFAULT_DST
    components = _in_order(options.components, options.training)
    base = None
    if not options.dry_run and src.resolve().is_relative_to(target.resolve()):
        raise InputError(f"--src {src} is inside {target}, where the checkpoint is to be written")
    if not options.dry_run or (options.components is not None and reading.is_checkpoint(target)):
        base = base_of(target, options, components)
    dtype = (options.dtype or DTYPES[0]) if base is None else base.provenance.dtype
    # Arrays are only rearranged, so no accelerator is needed.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        sources = open_sources(src, options, components, dtype, alone=base is not None)
        if sources.words is None:
            components = tuple(name for name in components if name != WORDS)
        config = config_of(sources, base)
        rows = _planned(sources, components)
        if not options.dry_run:
            _check_space(target.absolute(), sum(row.bytes for row in rows))
            arrays = _read_all(src, sources, rows, progress or (lambda *_: None))
            save(target, options.force, dtype, config, sources, base, arrays, components)
    notes = _notes(target, options, sources, components, base)
    return Imported(target, tuple(rows), tuple(notes), not options.dry_run)


def _in_order(names: Sequence[str] | None, training: bool) -> tuple[str, ...]:
    """The requested components, in the order of the model."""
    if names is None:
        return (*ALL, *TRAINING) if training else ALL
    if unknown := [name for name in names if name not in NAMED]:
        known = ", ".join(NAMED)
        raise InputError(f"--components: unknown {', '.join(unknown)}; expected some of {known}")
    if not names:
        raise InputError(f"--components names none of {', '.join(NAMED)}")
    wanted = (*names, *TRAINING) if training else names
    return tuple(name for name in NAMED if name in wanted)


def _planned(sources: Sources, components: Sequence[str]) -> list[Row]:
    """The rows of the printed table: arrays read and dropped, and bytes written, by component."""
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


def _check_space(target: Path, needed: int) -> None:
    parent = next(folder for folder in target.parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise InputError(
            f"{parent} has {free / 1e6:,.1f} MB free; the checkpoint needs {needed / 1e6:,.1f} MB"
        )


def _read_all(
    src: Path, sources: Sources, rows: Sequence[Row], progress: Progress
) -> Iterator[tuple[str, Tree]]:
    """Reads the components one after the other, and notes the time of each.

    After the first problem, the others are read only to find further problems.

    Raises:
        ImportMismatch: at the end, with all problems of all components.
    """
    done, total = 0, sum(row.read for row in rows)
    problems: list[str] = []
    for row in rows:

        def advance(count: int, component: str = row.component) -> None:
            nonlocal done
            done += count
            progress(done, total, component)

        start = time.perf_counter()
        advance(0)
        try:
            params = sources.read(row.component, advance)
        except ImportMismatch as error:
            problems += error.problems
            continue
        if not problems:
            yield row.component, params
        del params
        row.seconds = time.perf_counter() - start
    if problems:
        raise ImportMismatch(str(src), problems)


def _notes(
    target: Path,
    options: ImportOptions,
    sources: Sources,
    components: Sequence[str],
    base: reading.Checkpoint | None,
) -> list[str]:
    before = base.components if base is not None else ()
    held = {*components, *before}
    notes = []
    if sources.ignored:
        notes.append(f"ignored (--ignore): {', '.join(sources.ignored)}")
    if missing := [name for name in COMPONENTS if name not in held]:
        notes.append(f"partial model, without {', '.join(missing)}")
    if WORDS not in held and options.components is None:
        notes.append(
            f"without {WORDS} (emotion from text): directory {FOLDER} not found; to add it later: "
            f"python -m indextts_jax.import --components {WORDS} --src DIR --dst {target}"
        )
    if sources.speech is not None:
        notes += sources.speech.notes
    if sources.words is not None:
        notes += sources.words.notes
    if kept := [name for name in before if name not in components]:
        notes.append(f"kept unchanged: {', '.join(kept)}")
    return notes


def _report(rows: Sequence[Row]) -> str:
    seconds = [row.seconds for row in rows if row.seconds is not None]
    total = Row(
        "total",
        sum(row.read for row in rows),
        sum(row.dropped for row in rows),
        sum(row.parameters for row in rows),
        sum(row.bytes for row in rows),
        sum(seconds) if len(seconds) == len(rows) else None,
    )
    counts = ("read", "dropped", "parameters", "bytes")
    return table(
        ("component", *counts, "seconds"),
        [
            (
                row.component,
                *(f"{getattr(row, count):,}" for count in counts),
                "-" if row.seconds is None else f"{row.seconds:.1f}",
            )
            for row in (*rows, total)
        ],
    )
