"""Which rows are in which batch: a function of the data, the seed and the number of the step.

There is no iterator, so there is nothing to save: a run that goes on asks for the next number.
"""

import bisect
import dataclasses
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.training.data.prepared import Prepared, Row
from indextts_jax.training.objectives.base import Batch, Objective
from indextts_jax.training.recipe import BatchRecipe, Recipe

ORDER, CONTENT = 0, 1  # what a generator is for: the order of an epoch, what is in a batch


class Chosen(NamedTuple):
    """The rows of a batch, and the length that they are padded to."""

    rows: tuple[Row, ...]
    seconds: float
    epoch: int


def generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Random numbers of one epoch or one batch, whatever was drawn before."""
    sequence = np.random.SeedSequence((seed, purpose, number))
    return np.random.Generator(np.random.Philox(sequence))


def rows_of(recipe: BatchRecipe, bucket: float) -> int:
    """Rows of a batch of a bucket: as many as its seconds hold, a multiple of `multiple`."""
    multiple = recipe.multiple or recipe.pieces
    return max(multiple, int(recipe.seconds / bucket) // multiple * multiple)


def check_sizes(rows: Sequence[Row], sizes: Sequence[float], recipe: BatchRecipe) -> None:
    """Makes sure that every row fits into a bucket.

    Raises:
        InputError: with the number of rows that do not, and the first of them.
    """
    limit = recipe.buckets[-1]
    long = [row for row, size in zip(rows, sizes, strict=True) if size > limit]
    if long:
        raise InputError(
            f"{len(long)} rows are longer than the last of batch.buckets, {limit} s; the first is "
            f"{long[0].id}: set batch.buckets, or leave them out in prepare"
        )


@dataclasses.dataclass
class Batches:
    """The batches of a run.

    In an epoch every row is in a batch once, but where speakers are balanced or manifests have
    weights: then a row is in it as often as its weight says, on average. What is left over in a
    bucket is padded to the next longer one; the last batch is filled with rows of the same epoch.
    """

    rows: Sequence[Row]
    sizes: Sequence[float]  # seconds of each row
    recipe: BatchRecipe
    seed: int

    def __post_init__(self) -> None:
        if not self.rows:
            raise InputError("the prepared data has no rows to train on")
        check_sizes(self.rows, self.sizes, self.recipe)
        self._weights = _weights(self.rows, self.sizes, self.recipe)
        self._ends: list[int] = []  # for each epoch so far: number of the first batch after it
        self._epochs: dict[int, list[tuple[tuple[int, ...], float]]] = {}
        self._lock = threading.Lock()

    def at(self, step: int) -> Chosen:
        """The batch of a step (from 0). Threads may share it."""
        with self._lock:
            return self._at(step)

    def steps_of(self, epochs: float) -> int:
        """Steps that so many epochs take, at least 1."""
        with self._lock:
            whole, part = divmod(epochs, 1)
            sizes = [len(self._epoch(number)) for number in range(int(whole) + (part > 0))]
        last = round(part * sizes.pop()) if part > 0 else 0
        return max(1, sum(sizes) + last)

    def _at(self, step: int) -> Chosen:
        while not self._ends or self._ends[-1] <= step:
            number = len(self._ends)
            self._ends.append((self._ends or [0])[-1] + len(self._epoch(number)))
        epoch = bisect.bisect_right(self._ends, step)
        indices, seconds = self._epoch(epoch)[step - (self._ends[epoch - 1] if epoch else 0)]
        return Chosen(tuple(self.rows[i] for i in indices), seconds, epoch)

    def _epoch(self, number: int) -> list[tuple[tuple[int, ...], float]]:
        if number not in self._epochs:
            self._epochs = {number: self._draw(number)}  # the one in use
        return self._epochs[number]

    def _draw(self, number: int) -> list[tuple[tuple[int, ...], float]]:
        """Batches of an epoch as indices of rows."""
        rng = generator(self.seed, ORDER, number)
        order = rng.permutation(len(self.rows))
        # Systematic sampling: a row of weight 1 comes exactly once, one of 0.3 in 3 of 10 epochs.
        reached = np.floor(np.cumsum(self._weights[order]) + rng.random() * (1 - 1e-6))
        order = np.repeat(order, np.diff(reached, prepend=0).astype(int))
        if not len(order):
            order = rng.permutation(len(self.rows))[:1]
        place = np.searchsorted(self.recipe.buckets, np.asarray(self.sizes)[order])
        found, left = [], np.zeros(0, int)
        for bucket, seconds in enumerate(self.recipe.buckets):
            mine, count = (
                np.concatenate([left, order[place == bucket]]),
                rows_of(self.recipe, seconds),
            )
            whole = len(mine) // count * count
            found += [(tuple(rows.tolist()), seconds) for rows in mine[:whole].reshape(-1, count)]
            left = mine[whole:]
        if len(left):
            filled = np.resize(np.concatenate([left, order]), rows_of(self.recipe, seconds))
            found.append((tuple(filled.tolist()), seconds))
        return [found[i] for i in rng.permutation(len(found))]


def _weights(rows: Sequence[Row], sizes: Sequence[float], recipe: BatchRecipe) -> np.ndarray:
    """How often each row is in an epoch, on average; the mean of rows of full weight is 1."""
    weights = np.asarray([row.weight for row in rows], np.float64)
    time: dict[str, float] = {}
    for row, size, weight in zip(rows, sizes, weights, strict=True):
        time[row.speaker] = time.get(row.speaker, 0.0) + size * weight
    if not recipe.balance or len(time) == 1:
        return weights
    factors = np.asarray([1 / math.sqrt(max(time[row.speaker], 1e-9)) for row in rows])
    balanced = weights * factors
    # Rounded, so that speakers of equal time have rows of exactly equal weight.
    return np.round(balanced * (weights.sum() / balanced.sum()), 9)


def collate(
    objective: Objective, data: Prepared, chosen: Chosen, recipe: Recipe, step: int
) -> Batch:
    """The arrays of a batch, with the pieces as first axis.

    "row" numbers the rows of the whole batch; "progress" is the share of all steps that is behind.
    """
    rng = generator(recipe.seed, CONTENT, step)
    batch = dict(objective.collate(chosen.rows, data, chosen.seconds, rng))
    batch["row"] = np.arange(len(chosen.rows), dtype=np.int32)
    batch["progress"] = np.full(len(chosen.rows), step / recipe.steps, np.float32)
    return split(batch, recipe.batch.pieces)


def split(batch: Mapping[str, Any], pieces: int) -> Batch:
    """The arrays with rows as first axis cut into pieces, which become the first axis.

    Raises:
        InputError: for rows that the pieces do not divide.
    """
    found = {}
    for name, array in batch.items():
        if len(array) % pieces:
            raise InputError(f"{len(array)} rows of a batch are not a multiple of {pieces} pieces")
        found[name] = np.reshape(array, (pieces, len(array) // pieces, *np.shape(array)[1:]))
    return found
