"""The directory of a run: its recipe and provenance, and checks before it resumes.

recipe.yaml       every number, resolved
provenance.json   hashes of the base and the data, versions, devices
metrics.jsonl     one line per logged step and evaluation
steps/<n>/        saves
best.json         which save is best
samples/<n>/      samples of the model after n steps
report.md         a table of the evaluations
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from indextts_jax.errors import Failure, InputError, gathered
from indextts_jax.training import recipe as recipes
from indextts_jax.training.recipe import Recipe
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import locked, write_whole
from indextts_jax.utils.hashing import Version
from indextts_jax.utils.strict_data import from_data, to_data

RECIPE, PROVENANCE = "recipe.yaml", "provenance.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """The provenance of a run."""

    format: int = FORMAT
    created: str
    checkpoint: str | None  # path of the base; None if all parameters are initialised
    base: str  # hash of the initial parameters
    data: str  # path of the prepared data
    digest: str  # hash of the data that training reads
    versions: tuple[Version, ...]
    devices: tuple[str, ...]


def is_run(folder: Path) -> bool:
    """Whether a directory belongs to a run."""
    return (folder / RECIPE).is_file() and (folder / PROVENANCE).is_file()


def read_recipe(folder: Path) -> Recipe:
    """Reads the recipe of a run.

    Raises:
        InputError: if it is not the directory of a run.
    """
    if not is_run(folder):
        raise InputError(
            f"{folder} is not the directory of a run ({RECIPE} or {PROVENANCE} is missing)"
        )
    path = folder / RECIPE
    return recipes.parse_recipe(path.read_text("utf-8"), str(path))


def read_record(folder: Path) -> RunRecord:
    """Reads the provenance of a run.

    Raises:
        InputError: if it is damaged.
    """
    path = folder / PROVENANCE
    try:
        return from_data(RunRecord, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error!s:.200}") from error


def write_record(folder: Path, record: RunRecord) -> None:
    """Writes the provenance of a run."""
    _write(folder / PROVENANCE, json.dumps(to_data(record), indent=1) + "\n")


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Writes the resolved recipe of a run."""
    text = yaml.safe_dump(to_data(recipe), sort_keys=False, allow_unicode=True)
    _write(folder / RECIPE, text)


def begin(folder: Path, recipe: Recipe, record: RunRecord) -> None:
    """Creates the directory of a new run.

    Raises:
        InputError: if it already exists.
    """
    if is_run(folder):
        raise InputError(f"{folder} is already a run; use --resume, or choose another directory")
    if folder.exists() and (not folder.is_dir() or any(p.name != LOCK for p in folder.iterdir())):
        raise InputError(f"{folder} exists and is not the directory of a run")
    write_recipe(folder, recipe)
    write_record(folder, record)


LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Locks a directory, which is created if necessary, against other training processes."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        with locked(folder / LOCK, f"another process is training in {folder}"):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # if it is still empty


def check_same(
    folder: Path, before: RunRecord, now: RunRecord, *, exact: bool = True
) -> str | None:
    """Checks that a run resumes from the same base with the same data.

    If it does not resume exactly anyway, the data may differ: returns a warning that says so.

    Raises:
        InputError: naming what differs.
    """
    problems, warning = [], None
    if before.base != now.base:
        problems.append(
            f"base: the run began with parameters {before.base[:12]} ({before.checkpoint}), "
            f"{now.checkpoint} has {now.base[:12]}"
        )
    if before.digest != now.digest:
        differs = (
            f"data: the run began with {before.digest[:12]} ({before.data}), {now.data} has "
            f"{now.digest[:12]}"
        )
        if exact:
            problems.append(differs)
        else:
            warning = differs
    if problems:
        raise InputError(f"{folder} cannot be resumed: " + gathered("with --resume", problems))
    return warning


def resumed_recipe(folder: Path, wanted: Recipe | None) -> Recipe:
    """The recipe of a resumed run: its own, with the changeable settings of `wanted`.

    Raises:
        InputError: naming every other key that differs.
    """
    before = read_recipe(folder)
    if wanted is None:
        return before
    batch = dataclasses.replace(
        wanted.batch, multiple=wanted.batch.multiple or before.batch.multiple
    )
    steps = wanted.steps or before.steps
    wanted = dataclasses.replace(wanted, batch=batch, steps=steps)
    if keys := recipes.changed_keys(before, wanted):
        old, new = recipes.flat(before), recipes.flat(wanted)
        changes = [f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in keys]
        raise InputError(
            f"{folder} cannot be resumed with another recipe ({'; '.join(changes)}); only "
            f"{', '.join(recipes.FREE)} may change"
        )
    return wanted


def different_versions(before: RunRecord) -> list[str]:
    """Packages whose version has changed since the run began; results may differ by rounding."""
    now = {one.package: one.version for one in hashing.versions()}
    return [
        f"{one.package} {one.version} (now {now.get(one.package)})"
        for one in before.versions
        if now.get(one.package) != one.version
    ]


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror or error}") from error
