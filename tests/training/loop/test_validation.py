"""What a validation sums up beside its loss."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from toy_objective import WIDTH, Toy, session

from indextts_jax.training.objectives.base import Batch, Term
from indextts_jax.training.recipe import EvaluationRecipe


class Counting(Toy):
    """Adds up a vector over all rows, besides."""

    def evaluate(self, params: Any, batch: Batch, key: jax.Array) -> dict[str, Term]:
        totals = Term(batch["x"].sum((0, 1)), jnp.float32(1))
        return super().evaluate(params, batch, key) | {"totals": totals}

    def summary(self, sums: dict[str, np.ndarray]) -> dict[str, float]:
        assert sums["totals"].shape == (WIDTH,)
        return {f"total_{n}": float(value) for n, value in enumerate(sums["totals"])}


def test_nonscalar_terms_are_summed_over_rows(tmp_path: Path) -> None:
    """Also where a batch is filled up with rows that count in another place."""
    three = EvaluationRecipe(every=10, rows=3, patience=None, samples=False)
    made = session(tmp_path / "data", Counting(), evaluation=three)
    assert made.validation is not None
    rows = made.validation.rows
    assert len(rows) == 3  # of a batch of four
    found = made.validation(made.setup.params(made.setup.state, made.setup.frozen))

    expected = sum(made.data.read(row, "mel").astype(np.float64).sum(0) for row in rows)
    np.testing.assert_allclose([found[f"total_{n}"] for n in range(WIDTH)], expected, rtol=1e-4)
    assert "totals" not in found
    assert found["loss"] > 0
