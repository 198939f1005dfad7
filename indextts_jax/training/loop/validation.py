"""The validation loss: with the same rows, keys and noise at every evaluation; also by speaker."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from indextts_jax.models.components import Params
from indextts_jax.training.data.prepared import Prepared, Row
from indextts_jax.training.loop.batches import CONTENT, check_sizes, generator, rows_of
from indextts_jax.training.loop.sharding import Placement
from indextts_jax.training.loop.step import step_key
from indextts_jax.training.objectives.base import Batch, Objective, Term
from indextts_jax.training.recipe import Recipe

KEY = 2**32 - 2  # folded into the key for all evaluations, instead of a step


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity, for jit of a method
class Validation:
    """Evaluates an objective on the validation rows.

    Rows are evaluated individually within a batch (`jax.vmap`), so that batches can be padded with
    repeated rows that do not count, and losses can be averaged by speaker.
    """

    objective: Objective
    recipe: Recipe
    data: Prepared
    rows: Sequence[Row]
    placement: Placement

    def __post_init__(self) -> None:
        check_sizes(self.rows, [self.objective.size(row) for row in self.rows], self.recipe.batch)
        object.__setattr__(self, "_evaluate", jax.jit(self._rows))

    def __call__(self, params: Params) -> dict[str, Any]:
        """`loss`, the mean of each term, and `speakers` with the loss of each one.

        Non-scalar terms are summed over all rows and passed to the objective's `summary`.
        """
        totals: dict[str, dict[str, np.ndarray]] = {}
        sums: dict[str, np.ndarray] = {}
        for mine, batch in self._batches():
            terms = jax.device_get(self._evaluate(params, batch))  # type: ignore[attr-defined]
            for name, term in terms.items():
                if term.total.ndim > 1:
                    found = np.asarray(term.total[: len(mine)], np.float64).sum(axis=0)
                    sums[name] = sums[name] + found if name in sums else found
                    continue
                for n, row in enumerate(mine):
                    pair = np.asarray([term.total[n], term.count[n]], np.float64)
                    by = totals.setdefault(name, {})
                    by[row.speaker] = by.get(row.speaker, np.zeros(2)) + pair
        weights = self.objective.parts[0].weights

        def loss(values: dict[str, float]) -> float:
            return sum(weight * values[name] for name, weight in weights.items() if name in values)

        means = {name: _mean(sum(by.values(), np.zeros(2))) for name, by in totals.items()}
        speakers = sorted({row.speaker for row in self.rows})
        return {
            "loss": loss(means),
            **means,
            **(self.objective.summary(sums) if sums else {}),  # type: ignore[attr-defined]
            "speakers": {
                speaker: loss({name: _mean(by[speaker]) for name, by in totals.items()})
                for speaker in speakers
            },
        }

    def _rows(self, params: Params, batch: Batch) -> dict[str, Term]:
        """The terms of each row."""
        key = step_key(self.recipe.seed, KEY)

        def one(row: Batch) -> dict[str, Term]:
            alone = jax.tree.map(lambda array: array[None], row)
            return self.objective.evaluate(params, alone, key)

        return jax.vmap(one)(batch)

    def _batches(self) -> Iterator[tuple[list[Row], Batch]]:
        """Deterministic batches, each with its valid rows first and possibly padding rows."""
        sizes = [self.objective.size(row) for row in self.rows]
        number = 0
        place = np.searchsorted(self.recipe.batch.buckets, sizes)
        for bucket, seconds in enumerate(self.recipe.batch.buckets):
            mine, count = (
                np.flatnonzero(place == bucket).tolist(),
                rows_of(self.recipe.batch, seconds),
            )
            for begin in range(0, len(mine), count):
                indices = mine[begin : begin + count]
                filled = np.resize(np.asarray(indices), count)
                rows = [self.rows[i] for i in filled.tolist()]
                rng = generator(self.recipe.seed, CONTENT, 2**32 + number)
                batch = dict(self.objective.collate(rows, self.data, seconds, rng))
                batch["row"] = filled.astype(np.int32)
                batch["progress"] = np.ones(count, np.float32)
                number += 1
                yield [self.rows[i] for i in indices], self._put(batch)

    def _put(self, batch: Batch) -> Batch:
        pieces = self.placement.put_batch({k: np.asarray(v)[None] for k, v in batch.items()})
        return {name: array[0] for name, array in pieces.items()}


def _mean(pair: np.ndarray) -> float:
    return float(pair[0] / pair[1]) if pair[1] > 0 else 0.0
