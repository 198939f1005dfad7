"""Runs a build stage by stage: finished stages are skipped, a stopped one resumes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from indextts_jax.checkpoint.reading import is_checkpoint
from indextts_jax.training.from_scratch.commands import Plan
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop.stop import Deadline

Call = Callable[[str, Sequence[str]], int]
"""Runs a command of this package with arguments; returns the exit code."""


class Ended(NamedTuple):
    """The progress of a build."""

    done: tuple[str, ...]  # finished stages
    code: int  # exit code of the last command; 0 if the time limit was reached
    stopped: str | None  # the unfinished stage


def run_build(
    plan: Plan,
    call: Call,
    *,
    deadline: Deadline,
    ignore_bars: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Ended:
    """Runs the remaining commands of every stage.

    Raises:
        Failure: for a stage whose figures are above its limits.
    """
    done: list[str] = []
    for stage in plan.build.stages:
        if plan.is_done(stage):
            done.append(stage.name)
            continue
        say(f"stage {stage.name} ({len(done) + 1} of {len(plan.build.stages)})")
        if not plan.is_trained(stage):
            begun = folders.is_run(plan.run_of(stage)) and plan.data_of(stage).is_dir()
            if not begun and (code := call("prepare", plan.prepare(stage))):
                return Ended(tuple(done), code, stage.name)
            code = call("train", plan.train(stage, deadline.left()))
            if code or not plan.is_trained(stage):
                return Ended(tuple(done), code, stage.name)
        if stage.bars and not ignore_bars:
            figures = plan.check_bars(stage)
            say(", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
        if code := call("export", plan.export(stage)):
            return Ended(tuple(done), code, stage.name)
        done.append(stage.name)
        if deadline() is not None and stage is not plan.build.stages[-1]:
            following = plan.build.stages[len(done)].name
            return Ended(tuple(done), 0, following)
    if not is_checkpoint(plan.model) and (code := call("prepare", plan.finish())):
        return Ended(tuple(done), code, "prototypes")
    return Ended(tuple(done), 0, None)
