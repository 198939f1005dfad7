"""Moves a build to another machine: the last model, and the current run without optimizer moments.

    pack(plan, "state")     # model/, run/ and state.json, some megabytes
    unpack(plan, "state")   # elsewhere, into the plan's empty directory; the build then goes on

Prepared data is not included, as preparing it again gives the same. Resuming is not exact: moments
restart, and weights are rounded to float16.
"""

import dataclasses
import json
import shutil
from pathlib import Path

from indextts_jax.errors import InputError
from indextts_jax.training import weights
from indextts_jax.training.from_scratch.commands import Plan
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop import log
from indextts_jax.training.loop.saves import steps_in
from indextts_jax.utils.atomic import check_only, put_in_place, staging
from indextts_jax.utils.strict_data import to_data

MODEL, RUN, STATE = "model", "run", "state.json"


@dataclasses.dataclass(frozen=True)
class Carried:
    """The contents of a packed state."""

    done: str | None  # the last stage with a model
    working: str | None  # the stage with a run
    step: int | None  # step of that run


def pack(plan: Plan, state: str | Path) -> Carried:
    """Writes the state of a build, replacing an earlier one.

    Raises:
        InputError: if nothing has been trained yet, or the destination is something else.
    """
    done = [stage for stage in plan.build.stages if plan.is_done(stage)]
    left = [stage for stage in plan.build.stages if not plan.is_done(stage)]
    working = left[0] if left and steps_in(plan.run_of(left[0])) else None
    if not done and working is None:
        raise InputError(f"{plan.dst}: nothing has been trained yet")
    target = Path(state).absolute()
    with staging(target, force=True, ours=_is_only_state) as stage_folder:
        made = stage_folder / "state"
        made.mkdir()
        if done:
            shutil.copytree(plan.model_after(done[-1]), made / MODEL)
        step = None
        if working is not None:
            run = plan.run_of(working)
            step = steps_in(run)[-1]
            _pack_run(run, step, made / RUN)
        carried = Carried(
            done[-1].name if done else None, None if working is None else working.name, step
        )
        (made / STATE).write_text(json.dumps(dataclasses.asdict(carried), indent=1) + "\n")
        put_in_place(stage_folder, made, target)
    return carried


def _pack_run(run: Path, step: int, target: Path) -> None:
    """Packs a run without saves, and without paths, which are not valid on another machine."""
    target.mkdir()
    weights.write_weights(run, step).replace(target / weights.FILE)
    shutil.copy(run / folders.RECIPE, target)
    record = folders.read_record(run)
    plain = dataclasses.replace(
        record, data="", checkpoint=None if record.checkpoint is None else ""
    )
    (target / folders.PROVENANCE).write_text(json.dumps(to_data(plain), indent=1) + "\n")
    lines = [line for line in log.read(run) if line["step"] <= step]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (target / log.FILE).write_text(text, encoding="utf-8")


def unpack(plan: Plan, state: str | Path) -> Carried:
    """Unpacks a state into the empty directory of a build.

    Raises:
        InputError: if there is no state, it belongs to another build, or the directory is not
            empty.
    """
    folder = Path(state)
    if not _is_state(folder):
        raise InputError(f"{state} is not the state of a build ({STATE} is missing)")
    if plan.dst.exists() and any(plan.dst.iterdir()):
        raise InputError(f"{plan.dst} is not empty")
    carried = Carried(**json.loads((folder / STATE).read_text("utf-8")))
    by_name = {stage.name: stage for stage in plan.build.stages}
    for name in (carried.done, carried.working):
        if name is not None and name not in by_name:
            raise InputError(f"{state} belongs to another build: this one has no stage {name}")
    if carried.done is not None:
        shutil.copytree(folder / MODEL, plan.model_after(by_name[carried.done]))
    if carried.working is not None:
        shutil.copytree(folder / RUN, plan.run_of(by_name[carried.working]))
    return carried


def _is_state(folder: Path) -> bool:
    return (folder / STATE).is_file()


def _is_only_state(folder: Path) -> bool:
    if not _is_state(folder):
        return False
    check_only(folder, (STATE, MODEL, RUN), "the state of a build")
    return True
