"""Assembles a run, new or resumed."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from indextts_jax.errors import InputError
from indextts_jax.models.components import Params
from indextts_jax.training.data.prepared import Prepared
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop import log
from indextts_jax.training.loop.batches import Batches, collate
from indextts_jax.training.loop.folder import RunRecord
from indextts_jax.training.loop.log import Log
from indextts_jax.training.loop.run import Ending, Measure, Run, Say
from indextts_jax.training.loop.saves import Saves, steps_in
from indextts_jax.training.loop.setup import Setup, set_up, started_from
from indextts_jax.training.loop.sharding import Placement
from indextts_jax.training.loop.stop import Asked
from indextts_jax.training.loop.validation import Validation
from indextts_jax.training.objectives.base import Objective
from indextts_jax.training.recipe import Recipe
from indextts_jax.utils import hashing

RESTARTED = "restarted"  # kind of log line: moments restarted


@dataclasses.dataclass(frozen=True)
class Base:
    """The initial parameters of a training."""

    params: Params  # by component; empty in a session, whose state has copies of trained ones
    tables: frozenset[str]  # dotted paths of tables (stored numbers, not weights)
    digest: str  # SHA-256 of the parameters, or of how they are initialised
    checkpoint: str | None = None  # path, if they come from one


@dataclasses.dataclass(frozen=True)
class Session:
    """A recipe with the data and parameters that it runs on."""

    setup: Setup
    base: Base
    data: Prepared
    batches: Batches
    validation: Validation | None  # None without validation rows
    left_out: int = 0  # clips without a needed feature: prepared for another recipe

    @property
    def recipe(self) -> Recipe:
        """Every number of the run."""
        return self.setup.recipe


def with_multiple(recipe: Recipe, devices: int) -> Recipe:
    """Sets `batch.multiple`, so that batches are divisible by devices and micro-batches.

    Raises:
        InputError: if it is set and does not match the devices.
    """
    needed = devices * recipe.batch.pieces
    multiple = recipe.batch.multiple or needed
    if multiple % needed:
        raise InputError(
            f"batch.multiple is {multiple}, expected a multiple of {needed}: {devices} devices "
            f"times batch.pieces {recipe.batch.pieces}"
        )
    return dataclasses.replace(recipe, batch=dataclasses.replace(recipe.batch, multiple=multiple))


def with_steps(recipe: Recipe, batches: Batches) -> Recipe:
    """Converts epochs to numbers of steps."""
    every = recipe.evaluation.every or batches.steps_of(1)
    return dataclasses.replace(
        recipe,
        steps=recipe.steps or batches.steps_of(recipe.epochs),
        evaluation=dataclasses.replace(recipe.evaluation, every=every),
    )


def open_session(
    recipe: Recipe,
    objective: Objective,
    base: Base,
    data: Prepared,
    devices: Sequence[jax.Device] | None = None,
) -> Session:
    """Everything but the directory: batches, parameters on the devices, state of step 0.

    Raises:
        InputError: for data without rows or needed features, or a recipe that does not match.
    """
    devices = list(devices or jax.devices()[:1])
    recipe = with_multiple(recipe, len(devices))
    every = len(data.rows)
    data = data.with_features(objective.needs)
    train = [row for row in data.rows if row.split == "train"]
    held_out = [row for row in data.rows if row.split == "validation"]
    batches = Batches(train, [objective.size(row) for row in train], recipe.batch, recipe.seed)
    recipe = with_steps(recipe, batches)
    first = collate(objective, data, batches.at(0), recipe, 0)
    placement = Placement.on(devices, sharded=recipe.shard)
    setup = set_up(recipe, objective, base.params, base.tables, first, placement)
    limit = recipe.evaluation.rows
    validation = (
        Validation(objective, recipe, data, held_out[:limit], placement) if held_out else None
    )
    # Not kept, because they would be a second copy of the model on the device.
    base = dataclasses.replace(base, params={})
    return Session(setup, base, data, batches, validation, every - len(data.rows))


def record_of(session: Session) -> RunRecord:
    """The provenance of a run: base, data, versions and devices."""
    devices = session.setup.placement.mesh.devices.ravel()
    return RunRecord(
        created=hashing.now(),
        checkpoint=session.base.checkpoint,
        base=session.base.digest,
        data=str(Path(session.data.folder).absolute()),
        digest=session.data.digest,
        versions=hashing.versions(),
        devices=tuple(f"{device.platform} {device.device_kind}" for device in devices),
    )


def train(
    folder: Path,
    session: Session,
    *,
    resume: bool = False,
    weights: tuple[int, Mapping[str, Any]] | None = None,
    asked: Asked = lambda: None,
    measures: Sequence[Measure] = (),
    report: Any = lambda: None,
    listeners: Sequence[Any] = (),
    say: Say = lambda line: None,
    warn: Say = lambda line: None,
) -> Ending:
    """Trains in a directory, from step 0, the last save, or `weights` (a step and leaves).

    Raises:
        InputError: if the directory exists, or the run began with another recipe, base or data.
        Failure: for a full disk, or persistently non-finite gradients.
    """
    folder = Path(folder)
    with folders.held(folder):
        state = session.setup.state
        if resume:
            before = folders.read_record(folder)
            now = record_of(session)
            if differs := folders.check_same(folder, before, now, exact=weights is None):
                warn(differs)
            session_recipe = folders.resumed_recipe(folder, session.recipe)
            folders.write_recipe(folder, session_recipe)
            if differing := folders.different_versions(before):
                warn(f"the run began with {', '.join(differing)}: results may differ")
            if weights is not None:
                # The next resume is exact, with this data.
                folders.write_record(folder, dataclasses.replace(now, created=before.created))
        else:
            folders.begin(folder, session.recipe, record_of(session))
        saves = Saves(folder, session.recipe.saves)
        saves.tidy()
        if weights is not None:
            state = started_from(state, *weights)
            warn(f"moments restart at step {weights[0]}: the result will differ")
        elif resume and (found := steps_in(folder)):
            state = saves.load(found[-1], state)
            say(f"resuming from step {found[-1]}")
        step = int(state.step)
        saves.forget_after(step)
        logged = Log(folder, step, tuple(listeners))
        if weights is not None:
            logged.add(RESTARTED, step, {})
            saves.save(state, step)  # now the run is like any other
            saves.wait()
        marks = [line["step"] for line in log.read(folder) if line["kind"] == RESTARTED]
        setup = dataclasses.replace(session.setup, restarted=marks[-1] if marks else None)
        run = Run(
            folder,
            setup,
            session.data,
            session.batches,
            session.validation,
            saves,
            logged,
            measures,
            report,
            say,
            warn,
        )
        return run.train(state, asked)
