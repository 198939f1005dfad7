"""Saves of a run: `steps/<n>/`, written atomically, and `best.json`.

A thread writes each save into a temporary directory, hashes and renames it. Older saves are removed
only afterwards, so that a full disk or a kill loses at most the steps since the last save.
"""

import contextlib
import dataclasses
import json
import math
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from indextts_jax.checkpoint.arrays import read_arrays, write_arrays
from indextts_jax.checkpoint.reading import CheckpointMismatch
from indextts_jax.errors import Failure, InputError
from indextts_jax.training.loop.state import State, tree_of
from indextts_jax.training.recipe import SavesRecipe
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import persistently, write_whole
from indextts_jax.utils.hashing import FileHash
from indextts_jax.utils.strict_data import from_data, to_data

FORMAT = 1
STEPS, RECORD, BEST, ARRAYS = "steps", "save.json", "best.json", "arrays"
LOSS = "validation loss"  # selects the best save, unless a measure gives a score


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SaveRecord:
    """The metadata of a save."""

    format: int
    step: int  # completed steps
    created: str
    files: tuple[FileHash, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The result of an evaluation; lower is better."""

    step: int
    value: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """`best.json`: the best save and its metric."""

    metric: str = LOSS
    best: int | None = None  # step of the best save; None before the first evaluation
    base: float | None = None  # the score of step 0 (before training)
    scores: tuple[Score, ...] = ()  # of all evaluations after step 0


def trees_of(state: State) -> dict[str, Any]:
    """The state as nested dicts with string keys, as on disk; empty ones are omitted.

    `params`, `statistics` and `average` are nested by component as in checkpoints; `moments` has
    the numbered leaves of each part's optimizer.
    """
    moments = {
        part: {str(n): leaf for n, leaf in enumerate(jax.tree.leaves(inner))}
        for part, inner in state.moments.items()
    }
    trees = {
        "params": _nested(state.params),
        "statistics": _nested(state.statistics),
        "average": _nested(state.average),
        "moments": {part: leaves for part, leaves in moments.items() if leaves},
    }
    return {name: tree for name, tree in trees.items() if tree}


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    return tree_of(leaves, {path: tuple(path.split(".")) for path in leaves})


def _state_of(trees: Mapping[str, Any], like: State, step: int) -> State:
    """The inverse of `trees_of`, with the structure of `like`."""

    def flat(name: str, leaves: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for path in leaves:
            place = trees[name]
            for key in path.split("."):
                place = place[key]
            found[path] = place
        return found

    moments = {
        part: jax.tree.unflatten(
            jax.tree.structure(inner),
            [trees["moments"][part][str(n)] for n in range(len(jax.tree.leaves(inner)))],
        )
        for part, inner in like.moments.items()
    }
    return State(
        jax.device_put(np.int32(step), like.step.sharding),
        flat("params", like.params),
        flat("statistics", like.statistics),
        moments,
        flat("average", like.average),
    )


def steps_in(run: Path) -> list[int]:
    """Steps with a save, in increasing order."""
    folder = run / STEPS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def read_best(run: Path) -> Best:
    """Reads `best.json`."""
    path = run / BEST
    if not path.is_file():
        return Best()
    try:
        return from_data(Best, json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error!s:.200}") from error


def check_metric(run: Path, best: Best, metric: str) -> None:
    """Checks that `metric` is comparable to the earlier results of a run.

    Raises:
        InputError: if they have another metric.
    """
    if metric != best.metric and (best.scores or best.base is not None):
        raise InputError(
            f"the best save of {run} was chosen by {best.metric}, and would now be by {metric}: "
            "use the judges and the evaluation.best that the run began with"
        )


def check_save(folder: Path) -> SaveRecord:
    """Reads the record of a save, after verifying its files.

    Raises:
        InputError: if it is damaged.
    """
    try:
        record = from_data(SaveRecord, json.loads((folder / RECORD).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is damaged: {error!s:.200}") from error
    if record.format != FORMAT:
        raise InputError(f"{folder} is a save of format {record.format}; expected {FORMAT}")
    if problems := hashing.differences(folder, record.files):
        raise CheckpointMismatch(folder, problems)
    return record


_REMAINS = re.compile(r"\.[0-9]+\.(partial|removed)")


class Saves:
    """Writes the saves of one run, and decides which ones to keep."""

    def __init__(self, run: Path, recipe: SavesRecipe):
        self._run, self._recipe = run, recipe
        self._folder = run / STEPS
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        self._failure: BaseException | None = None
        self.best = read_best(run)
        self.saved: int | None = max(steps_in(run), default=None)
        """Step of the last save on disk."""

    def tidy(self) -> None:
        """Removes remains of killed processes."""
        for path in self._folder.glob(".*") if self._folder.is_dir() else ():
            if _REMAINS.fullmatch(path.name) and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)

    def forget_after(self, step: int) -> None:
        """Removes evaluation results after the step from which a run resumes."""
        scores = tuple(score for score in self.best.scores if score.step <= step)
        if scores != self.best.scores:
            self.best = dataclasses.replace(self.best, scores=scores)
            self._choose_best()

    def score(self, step: int, value: float, metric: str = LOSS) -> None:
        """Records the result of an evaluation; that of step 0 is stored separately.

        `metric` describes the score; scores of different metrics are not comparable.

        Raises:
            InputError: if earlier results have another metric.
        """
        check_metric(self._run, self.best, metric)
        self.best = dataclasses.replace(self.best, metric=metric)
        value = value if math.isfinite(value) else math.inf  # the base is never the best save
        if step == 0:
            self.best = dataclasses.replace(self.best, base=value)
        else:
            others = tuple(score for score in self.best.scores if score.step != step)
            scores = (*others, Score(step=step, value=value))
            self.best = dataclasses.replace(self.best, scores=scores)

    def save(self, state: State, step: int) -> None:
        """Starts writing a save, after waiting for the previous one.

        Raises:
            Failure: if the previous one could not be written.
        """
        self.wait()
        if self.saved == step:
            self._settle()
            return
        # A copy, because the state's buffers are donated to the next step.
        arrays = jax.tree.map(lambda leaf: np.array(leaf), trees_of(state))
        self._done.clear()
        self._thread = threading.Thread(target=self._work, args=(arrays, step), name="save")
        self._thread.start()

    def check(self) -> None:
        """Raises the failure of a pending save, if already known."""
        if self._thread is not None and self._done.is_set():
            self.wait()

    def wait(self) -> None:
        """Waits until the pending save is on disk.

        Raises:
            Failure: if it could not be written; earlier saves still exist.
        """
        if self._thread is None:
            return
        # Waits even when interrupted, because a partial save would be useless.
        persistently(lambda: self._done.wait())
        self._thread = None
        if (failure := self._failure) is not None:
            self._failure = None
            known = f"the last save is of step {self.saved}" if self.saved else "there is no save"
            raise Failure(f"{failure}; {known}; use --resume to continue from it") from failure

    def _work(self, arrays: dict[str, Any], step: int) -> None:
        partial = self._folder / f".{step}.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            write_arrays(partial / ARRAYS, arrays)
            record = SaveRecord(
                format=FORMAT,
                step=step,
                created=hashing.now(),
                files=hashing.hash_folder(partial),
            )
            write_whole(partial / RECORD, json.dumps(to_data(record), indent=1).encode())
            partial.rename(self._folder / str(step))
            self.saved = step
            self._settle()
        except OSError as error:
            self._failure = Failure(f"cannot write {partial}: {error.strerror or error}")
        except BaseException as error:
            self._failure = error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            self._done.set()

    def _settle(self) -> None:
        """Updates the best save, and removes saves that are no longer needed."""
        self._choose_best()
        there, recipe = steps_in(self._run), self._recipe
        ranked = sorted(self._ranked(there), key=lambda score: (score.value, score.step))
        keep = {score.step for score in ranked[: recipe.best]} | set(there[-recipe.last :])
        if recipe.keep_every is not None:
            keep |= {step for step in there if step % recipe.keep_every == 0}
        for step in there:
            if step not in keep:
                # Renamed first, so that a partly removed save is not mistaken for a complete one.
                going = self._folder / f".{step}.removed"
                with contextlib.suppress(OSError):
                    (self._folder / str(step)).rename(going)
                shutil.rmtree(going, ignore_errors=True)

    def _ranked(self, there: list[int]) -> list[Score]:
        return [score for score in self.best.scores if score.step in there]

    def _choose_best(self) -> None:
        there = self._ranked(steps_in(self._run))
        best = min(there, key=lambda score: (score.value, score.step), default=None)
        self.best = dataclasses.replace(self.best, best=None if best is None else best.step)
        write_whole(self._run / BEST, json.dumps(to_data(self.best), indent=1).encode())

    def load(self, step: int, like: State) -> State:
        """Loads the state of a save, with the shardings of `like`.

        Raises:
            InputError: if it is damaged, or its arrays differ from `like`.
        """
        folder = self._folder / str(step)
        check_save(folder)
        expected = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
            trees_of(like),
        )
        return _state_of(read_arrays(folder / ARRAYS, expected), like, step)
