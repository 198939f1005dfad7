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

from importers.convert import Importer
from importers.files import files_of
from importers.locate import AUXILIARY
from importers.table import ImportMismatch, Tree
from indextts_jax import checkpoint, provenance
from indextts_jax.config import DTYPES
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.terminal import table

SUMMARY = "published PyTorch files to a checkpoint of this program."
COMMON = ("src", "dst", "dtype", "components", "ignore", "force", "dry_run")
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
    words("components", None, f"Import only these of {', '.join(COMPONENTS)}.", **own)
    words(
        "ignore",
        [],
        "Exact names of keys of config.yaml (bigvgan.KEY and w2v_bert.KEY: of those models' own "
        "config.json), and of arrays, to pass over. They are noted in the checkpoint.",
        **own,
    )
    switch("force", False, "Replace the checkpoint that is at --dst.", **own)
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


@dataclasses.dataclass
class Row:
    """What became of one component."""

    component: str
    read: int  # arrays
    dropped: int  # arrays
    parameters: int
    bytes: int
    seconds: float | None = None


def plan_all(importer: Importer, components: Sequence[str]) -> list[Row]:
    """What importing these components reads, drops and writes."""
    rows = []
    for component in components:
        plans = [importer.plan_of(component, file) for file in files_of(component)]
        leaves = [
            leaf
            for file in files_of(component)
            for leaf in jax.tree.leaves(importer.expected[file][component])
        ]
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


def _read_all(importer: Importer, rows: Sequence[Row], bar: Any) -> Iterator[tuple[str, Tree]]:
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
            params = importer.read(row.component, bar.update)
        except ImportMismatch as error:
            problems += error.problems
            continue
        if not problems:
            yield row.component, params
        del params
        row.seconds = time.perf_counter() - start
    if problems:
        raise ImportMismatch(str(importer.located.src), problems)


def _sources(importer: Importer, components: Sequence[str]) -> Iterator[provenance.FileHash]:
    """The hash of every file that was used."""
    used = ["config", "tokenizer"]
    for component in components:
        used += files_of(component)
    beside = [f"{name}_{kind}" for name in used for kind in ("config", "features")]
    used += [name for name in beside if name in importer.located.files]
    for name in dict.fromkeys(used):
        yield provenance.hash_file(importer.located.files[name], importer.located.name(name))


def _check_space(target: Path, needed: int) -> None:
    parent = next(folder for folder in target.parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise InputError(
            f"{parent} has {free / 1e9:.2f} GB free; the checkpoint needs {needed / 1e9:.2f} GB"
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
    if names is None:
        return tuple(COMPONENTS)
    if unknown := [name for name in names if name not in COMPONENTS]:
        raise InputError(
            f"--components: unknown {', '.join(unknown)}; there are {', '.join(COMPONENTS)}"
        )
    if not names:
        raise InputError(f"--components names none of {', '.join(COMPONENTS)}")
    return tuple(name for name in COMPONENTS if name in names)


def main(flags: Any) -> None:
    """Reads the flags, imports, prints the table."""
    if not flags.src:
        raise InputError("give --src DIR, the folder of the published files")
    src = Path(flags.src)
    target = Path(flags.dst) if flags.dst else src / DEFAULT_DST
    components = _components(flags.components)
    if not flags.dry_run:
        if src.resolve().is_relative_to(target.resolve()):
            raise InputError(f"--src {src} lies in {target}, where the checkpoint is to be written")
        checkpoint.check_destination(target, force=flags.force)
    importer = Importer.open(
        src,
        dtype=flags.dtype,
        ignore=flags.ignore,
        flags={name: flags[name].value for name in AUXILIARY},
    )
    rows = plan_all(importer, components)
    if not flags.dry_run:
        _check_space(target.absolute(), sum(row.bytes for row in rows))
        with tqdm(
            total=sum(row.read for row in rows), desc="Importing", unit=" arrays", file=sys.stderr
        ) as bar:
            checkpoint.save(
                target,
                config=importer.config,
                tokenizer=importer.tokenizer,
                components=_read_all(importer, rows, bar),
                dtype=flags.dtype,
                sources=_sources(importer, components),
                ignored=importer.ignored,
                force=flags.force,
            )
    print(report(rows))
    if importer.ignored:
        print(f"ignored, as asked: {', '.join(importer.ignored)}")
    if missing := [name for name in COMPONENTS if name not in components]:
        print(f"a part of the model: without {', '.join(missing)}")
    print("nothing was written (--dry_run)" if flags.dry_run else f"wrote {target}")
