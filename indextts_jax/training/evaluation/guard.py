"""The guard: measures a model on other data than it is trained on, to detect forgetting.

Two numbers over the rows of that data: the loss of the codes (of all terms, for objectives without
codes), and the divergence of the predictions from those of the model before training.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from indextts_jax.models.components import Params
from indextts_jax.training.data.prepared import Prepared, Row
from indextts_jax.training.loop.run import Measured
from indextts_jax.training.loop.session import Session
from indextts_jax.training.loop.setup import Setup
from indextts_jax.training.loop.validation import Validation
from indextts_jax.training.objectives.base import Batch, Objective, Part, Term
from indextts_jax.training.recipe import EvaluationRecipe

NAME = "guard"  # key in the log
CODES, DIVERGENCE = "code", "kl"  # names of loss terms
MODEL, BASE = "model", "base"  # components


@dataclasses.dataclass
class Guard:
    """A measure: the loss on guarded rows, its rise since step 0, and the KL divergence."""

    measure: Callable[[Params], Mapping[str, Any]]  # terms on guarded rows, and `loss`
    recipe: EvaluationRecipe
    base: float | None = None  # the loss of step 0; from the log in a resumed run

    def __call__(self, step: int, params: Params) -> Measured:
        """Warns, or ends the run, if the recipe's limits are exceeded."""
        found = self.measure(params)
        loss = float(found.get(CODES, found["loss"]))
        if step == 0 or self.base is None:
            self.base = loss
        rise = loss - self.base
        values = {NAME: loss, f"{NAME}_rise": rise}
        limits = self.recipe
        message = f"the guard's loss rose by {rise:.3f} from the base's {self.base:.3f}"
        checks = [(rise, limits.guard_warn, limits.guard_stop, message)]
        if DIVERGENCE in found:
            kl = values[f"{NAME}_{DIVERGENCE}"] = float(found[DIVERGENCE])
            message = f"the KL divergence from the base on guard clips is {kl:.3f} nats per code"
            checks.append((kl, limits.guard_kl_warn, limits.guard_kl_stop, message))
        warnings = []
        for value, warn, stop, message in checks:
            if not math.isfinite(value) or value > stop:
                return Measured(values, stop=f"{message}, more than {stop}")
            if value > warn:
                warnings.append(message)
        return Measured(values, warnings=tuple(warnings))


def guard_of(session: Session, data: Prepared, lines: Iterable[Mapping[str, Any]] = ()) -> Guard:
    """The guard of a run on all rows of a data set; `lines` is the log so far.

    Must be created before the first step, which donates the parameters of step 0.
    """
    setup, recipe = session.setup, session.recipe
    data = data.with_features(setup.objective.needs)
    rows = data.rows[: recipe.evaluation.rows]
    known = [line[NAME] for line in lines if NAME in line and line["step"] == 0]
    compares = hasattr(setup.objective, "divergence")
    objective: Objective = _Against(setup.objective) if compares else setup.objective
    validation = Validation(objective, recipe, data, rows, setup.placement)
    before = _kept(setup) if compares else None

    def measure(params: Params) -> Mapping[str, Any]:
        return validation(params if before is None else {MODEL: params, BASE: before()})

    return Guard(measure, recipe.evaluation, known[0] if known else None)


def _kept(setup: Setup) -> Callable[[], Params]:
    """A function that gives the parameters of step 0; trained leaves are copied to the host."""
    moving = jax.tree.map(lambda leaf: np.array(leaf), setup.state.params)
    statistics = jax.tree.map(lambda leaf: np.array(leaf), setup.state.statistics)
    layout, compute = setup.layout, setup.recipe.compute

    def params() -> Params:
        put = setup.placement.put
        return layout.tree(setup.frozen, put(layout.cast(moving, compute)), put(statistics))

    return params


@dataclasses.dataclass(frozen=True)
class _Against:
    """An objective that also evaluates the divergence; takes the parameters of two models."""

    objective: Any  # with `divergence`

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(self.objective.needs)

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(self.objective.components)

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(self.objective.parts)

    def size(self, row: Row) -> float:
        return float(self.objective.size(row))

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        return dict(self.objective.collate(rows, data, seconds, rng))

    def extra(self, key: jax.Array) -> Params:
        return dict(self.objective.extra(key))

    def evaluate(self, params: Params, batch: Batch, key: jax.Array) -> dict[str, Term]:
        inner: Objective = self.objective
        terms = inner.evaluate(params[MODEL], batch, key)
        return terms | self.objective.divergence(params[MODEL], params[BASE], batch)
