"""The interface between the training loop and objectives.

An objective is data and pure functions. The loop accumulates gradients over micro-batches, updates
parameters, saves and logs; the objective defines the features it needs, how a batch is collated,
and the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import numpy as np

from indextts_jax.models.components import Params

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

Batch = dict[str, Any]  # arrays by name, all with the rows as first axis; "row" is int32
Array = jax.Array


class Term(NamedTuple):
    """One term of a loss: a sum and a count.

    Both are accumulated separately, so that micro-batches give the loss of the whole batch. The
    count must depend on the batch only, not on parameters or random numbers.
    """

    total: Array  # float32 scalar
    count: Array  # type: ignore[assignment]  # float32 scalar; in place of the tuple's method


class Outcome(NamedTuple):
    """The result of a loss."""

    terms: dict[str, Term]
    # New values by dotted path, for leaves without gradients (BatchNorm statistics).
    statistics: dict[str, Array] = {}  # noqa: RUF012 (a named tuple's default; never written to)


class Part(NamedTuple):
    """One optimizer of a step; usually the only one, but a GAN has two.

    The loss is the sum of `weights[k] * total_k / count_k`. Terms without a weight are only logged.
    `loss(params, batch, key)` gets one key per step, the same in all micro-batches; draws for a row
    must use `fold_in(key, batch["row"][i])`, so that they depend neither on the number of devices
    nor on that of micro-batches.
    """

    name: str  # "model", "discriminators"
    trains: tuple[str, ...]  # patterns (`fnmatch`) of dotted paths of parameters
    loss: Callable[[Params, Batch, Array], Outcome]
    weights: Mapping[str, float]


class Objective(Protocol):
    """An objective: features, trained parameters and losses.

    Optional members: `unfold(params)`, which converts checkpoint parameters to trained ones, with
    the inverse `fold(params)`; `divergence(params, base, batch)`, terms that compare two models;
    `notes`, remarks for the user; `kept`, components that an export makes from parameters in
    `extra`, with their names; and `summary(sums)`, validation numbers from non-scalar terms of
    `evaluate`, each summed over all rows.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """Features read from the prepared data."""

    @property
    def components(self) -> tuple[str, ...]:
        """Components whose parameters the losses need."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts optimized in a step, in order, each with the parameters before the step."""

    def size(self, row: Row) -> float:
        """Length of a row in seconds, which determines its bucket."""

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A batch of rows that are at most `seconds` long.

        Shapes must depend only on the number of rows and on `seconds`. The loop adds two arrays
        with one entry per row: "row", its index in the whole batch (int32), and "progress", the
        completed share of all steps (float32).
        """

    def extra(self, key: Array) -> Params:
        """Training-only parameters (heads, discriminators) by component; usually none."""

    def evaluate(self, params: Params, batch: Batch, key: Array) -> dict[str, Term]:
        """The terms of the validation loss: without dropout, noise determined by key and row."""
