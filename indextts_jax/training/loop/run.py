"""Runs training steps, with logs, evaluations and saves."""

import collections
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from indextts_jax.errors import Failure
from indextts_jax.models.components import Params
from indextts_jax.training.data.prepared import Prepared
from indextts_jax.training.loop.batches import Batches, Chosen, collate
from indextts_jax.training.loop.log import Log
from indextts_jax.training.loop.prefetch import ahead
from indextts_jax.training.loop.saves import LOSS, Saves
from indextts_jax.training.loop.setup import Setup
from indextts_jax.training.loop.state import State
from indextts_jax.training.loop.stop import Asked
from indextts_jax.training.loop.validation import Validation

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Results of an evaluation besides the validation loss."""

    values: dict[str, Any] = dataclasses.field(default_factory=dict)  # to log and report
    score: float | None = None  # selects the best save, instead of the loss
    metric: str = LOSS  # description of `score`
    warnings: tuple[str, ...] = ()
    stop: str | None = None  # why the run should end


Measure = Callable[[int, Params], Measured]  # function of the number of steps and all parameters


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a run ended."""

    step: int
    reason: str  # "all steps are done", or the reason of `asked`, patience or a measure
    asked: bool  # stopped by request before it was done, and can be resumed


@dataclasses.dataclass
class Run:
    """Everything common to the steps of one run."""

    folder: Path
    setup: Setup
    data: Prepared
    batches: Batches
    validation: Validation | None
    saves: Saves
    log: Log
    measures: Sequence[Measure] = ()
    report: Callable[[], None] = lambda: None  # called after each evaluation
    say: Say = lambda line: None
    warn: Say = lambda line: None

    def train(self, state: State, asked: Asked = lambda: None) -> Ending:
        """Runs the steps after `state`.

        Raises:
            Failure: for a full disk, or persistently non-finite gradients.
        """
        recipe, setup = self.setup.recipe, self.setup
        step_function = jax.jit(setup.stepper, donate_argnums=(0,))
        first, reason = int(state.step), None
        watch = _Watch(self, first)
        if first == 0:
            reason = self._evaluate(state, 0)
            self.report()
        make = self._prepared_batch
        batches = ahead(make, first, recipe.steps if reason is None else first)
        number = first
        try:
            for number, (chosen, arrays) in enumerate(batches, first + 1):
                batch = setup.placement.put_batch(arrays)
                state, metrics = step_function(state, setup.frozen, batch)
                watch.add(number, chosen, metrics)
                last = number == recipe.steps
                self.saves.check()
                if number % recipe.log.every == 0 or last:
                    watch.write(number, metrics, chosen)
                reason = None if last else asked()
                if number % recipe.evaluation.every == 0 or last:
                    watch.settle()
                    found = self._evaluate(state, number)
                    self.saves.save(state, number)
                    self.saves.wait()  # so that the report includes the best save
                    self.report()
                    watch.restart(number)
                    if reason is None and found is not None:
                        return self._end(number, found, asked=False)
                elif number % recipe.saves.every == 0 or reason is not None:
                    watch.settle()
                    self.saves.save(state, number)
                if reason is not None:
                    self.saves.wait()
                    return self._end(number, reason, asked=True)
        finally:
            batches.close()
            self.saves.wait()
        return self._end(number, reason or "all steps are done", asked=False)

    def _end(self, step: int, reason: str, *, asked: bool) -> Ending:
        self.log.add("end", step, {"reason": reason, "asked": asked})
        return Ending(step, reason, asked)

    def _prepared_batch(self, step: int) -> tuple[Chosen, dict[str, Any]]:
        recipe = self.setup.recipe
        chosen = self.batches.at(step)
        return chosen, collate(self.setup.objective, self.data, chosen, recipe, step)

    def _evaluate(self, state: State, step: int) -> str | None:
        """Evaluates the model; returns a reason to end the run, if any."""
        params = self.setup.params(state, self.setup.frozen)
        values: dict[str, Any] = {}
        score, metric, reason, began = None, LOSS, None, time.perf_counter()
        if self.validation is not None:
            values = self.validation(params)
            score = values["loss"]
        for measure in self.measures:
            found = measure(step, params)
            values |= found.values
            if found.score is not None:
                score, metric = found.score, found.metric
            reason = reason or found.stop
            for line in found.warnings:
                self.warn(f"step {step}: {line}")
        values["seconds"] = time.perf_counter() - began
        if score is not None:
            self.saves.score(step, score, metric)
            values["score"] = score
            self.say(f"step {step}: {metric} {score:.4f}")
        self.log.add("evaluation", step, values)
        return reason or self._patience()

    def _patience(self) -> str | None:
        """A reason to end if too many evaluations in a row have not improved on the best."""
        patience, scores = self.setup.recipe.evaluation.patience, self.saves.best.scores
        if patience is None or not scores:
            return None
        values = [score.value for score in sorted(scores, key=lambda score: score.step)]
        if self.saves.best.base is not None:
            values.insert(0, self.saves.best.base)
        since = len(values) - 1 - int(np.argmin(values))
        return f"no gain in {since} evaluations" if since >= patience else None


class _Watch:
    """Monitors finished steps: logs them, and counts skipped ones.

    A step's numbers are read after the next step has been dispatched, so that the device does not
    wait.
    """

    def __init__(self, run: Run, first: int):
        self._run, self._waiting = run, collections.deque[tuple[int, Chosen, Any]]()
        self._in_row = 0
        self.restart(first)

    def restart(self, step: int) -> None:
        """Restarts the clock, after something other than a step."""
        self._since, self._began = step, time.perf_counter()
        self._audio, self._skipped = 0.0, 0

    def add(self, step: int, chosen: Chosen, metrics: Any) -> None:
        """Adds a dispatched step."""
        self._waiting.append((step, chosen, metrics["finite"]))
        self._audio += chosen.seconds * len(chosen.rows)
        while len(self._waiting) > 1:
            self._look(*self._waiting.popleft())

    def settle(self) -> None:
        """Waits for all dispatched steps, and reads their numbers."""
        while self._waiting:
            self._look(*self._waiting.popleft())

    def _look(self, step: int, chosen: Chosen, finite: Any) -> None:
        if bool(finite):
            self._in_row = 0
            return
        ids = [row.id for row in chosen.rows]
        self._in_row += 1
        self._skipped += 1
        self._run.log.add("skipped", step, {"rows": ids})
        self._run.warn(
            f"step {step} was skipped: its gradients are not finite; rows {', '.join(ids[:8])}"
            + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        )
        most = self._run.setup.recipe.most_skipped
        if self._in_row >= most:
            raise Failure(
                f"{most} steps in a row had non-finite gradients, up to step {step} with rows "
                f"{', '.join(ids)}; lower optimizer.rate, or check these clips"
            )

    def write(self, step: int, metrics: Any, chosen: Chosen) -> None:
        """A line of the log."""
        self.settle()
        values = {
            name: float(value)
            for name, value in jax.device_get(metrics).items()
            if name != "finite"
        }
        took = time.perf_counter() - self._began
        done = max(1, step - self._since)
        values |= {
            "epoch": chosen.epoch,
            "rows": len(chosen.rows),
            "seconds_per_step": took / done,
            "audio_per_second": self._audio / max(took, 1e-9),
            "skipped": self._skipped,
        }
        self._run.log.add("train", step, values)
        loss = " ".join(
            f"{name} {value:.4f}" for name, value in values.items() if name.endswith(".loss")
        )
        self._run.say(f"step {step}: {loss}, {took / done:.2f} s per step")
        self.restart(step)
