"""The guard: the loss on other data than is trained on, so that a model does not forget them."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from indextts_jax.models.components import Params
from indextts_jax.training.data.prepared import Prepared
from indextts_jax.training.loop.run import Measured
from indextts_jax.training.loop.session import Session
from indextts_jax.training.loop.validation import Validation
from indextts_jax.training.recipe import EvaluationRecipe

NAME = "guard"  # of the value in the log


@dataclasses.dataclass
class Guard:
    """A measure: the loss on guarded rows, and how far it rose over that of step 0."""

    validation: Validation
    recipe: EvaluationRecipe
    base: float | None = None  # the loss of step 0; from the log where a run goes on

    def __call__(self, step: int, params: Params) -> Measured:
        """Warns, or ends the run, where the loss rose by more than the recipe allows."""
        loss = float(self.validation(params)["loss"])
        if step == 0 or self.base is None:
            self.base = loss
        rise = loss - self.base
        told = f"the guard's loss rose by {rise:.3f} over the base's {self.base:.3f}"
        values = {NAME: loss, f"{NAME}_rise": rise}
        if rise > self.recipe.guard_stop:
            return Measured(values, stop=f"{told}, more than {self.recipe.guard_stop}")
        if rise > self.recipe.guard_warn:
            return Measured(values, warnings=(told,))
        return Measured(values)


def guard_of(session: Session, data: Prepared, lines: Iterable[Mapping[str, Any]] = ()) -> Guard:
    """The guard of a run on all rows of some data; `lines` is its log so far."""
    setup, recipe = session.setup, session.recipe
    rows = data.rows[: recipe.evaluation.rows]
    validation = Validation(setup.objective, recipe, data, rows, setup.placement)
    known = [line[NAME] for line in lines if NAME in line and line["step"] == 0]
    return Guard(validation, recipe.evaluation, known[0] if known else None)
