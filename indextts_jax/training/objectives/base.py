"""What the training loop expects of an objective.

An objective is data and pure functions. The loop sums gradients over micro-batches, updates
parameters, saves and logs; the objective says which rows it needs, how a batch is made of them, and
what the loss is. Neither knows the inside of the other.
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
    """One term of a loss: a sum over what counts, and how many count.

    Kept apart until the end, so that a batch in pieces gives the loss of the batch as a whole. The
    count depends on the batch alone, never on parameters or random numbers.
    """

    total: Array  # float32 scalar
    count: Array  # type: ignore[assignment]  # float32 scalar; in place of the tuple's method


class Outcome(NamedTuple):
    """What a loss gives."""

    terms: dict[str, Term]
    # New values by dotted path, for leaves that no gradient moves (statistics of a BatchNorm).
    statistics: dict[str, Array] = {}  # noqa: RUF012 (a named tuple's default; never written to)


class Part(NamedTuple):
    """One optimizer of a step: nearly always the only one; a GAN has two.

    The loss is the sum of `weights[k] * total_k / count_k`. Terms without a weight are logged only.
    `loss(params, batch, key)` gets one key a step, equal in all micro-batches; draws of a row come
    from `fold_in(key, batch["row"][i])`, so that they depend neither on the number of devices nor
    on the pieces in which a batch is computed.
    """

    name: str  # "model", "discriminators"
    trains: tuple[str, ...]  # patterns (`fnmatch`) of dotted paths of parameters
    loss: Callable[[Params, Batch, Array], Outcome]
    weights: Mapping[str, float]


class Objective(Protocol):
    """What is trained, on what, and towards what.

    Some things may be there besides: `unfold(params)`, from parameters as checkpoints have them to
    those that train, with its inverse `fold(params)`; `divergence(params, base, batch)`, terms of
    how far a model is from another; `notes`, lines that a user should see;
    `kept`, components that an export makes of parameters in `extra`, with the names of those; and
    `summary(sums)`, numbers of a validation out of the terms of `evaluate` whose totals are no
    scalars, each summed over all rows.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """Features that are read from the prepared data."""

    @property
    def components(self) -> tuple[str, ...]:
        """Networks whose parameters the losses need."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is optimized in a step, in this order, each with the parameters before the step."""

    def size(self, row: Row) -> float:
        """Seconds of a row, by which it gets a bucket."""

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A batch of rows that are at most `seconds` long.

        Shapes depend on the number of rows and on `seconds` alone. The loop adds two arrays with a
        number for each row: "row", its place in the whole batch (int32), and "progress", the share
        of all steps that is behind (float32).
        """

    def extra(self, key: Array) -> Params:
        """Parameters that only training has (heads, discriminators), by component; mostly none."""

    def evaluate(self, params: Params, batch: Batch, key: Array) -> dict[str, Term]:
        """The terms of the validation loss: no dropout, noise fixed by the key and the row."""
