"""The rows of each batch, as a function of the data, the seed and the step number.

There is no iterator whose state would have to be saved: a resumed run requests the next step.
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

ORDER, CONTENT = 0, 1  # uses of a generator: the order of an epoch, draws inside a batch


class Chosen(NamedTuple):
    """The rows of a batch, and their padded length."""

    rows: tuple[Row, ...]
    seconds: float
    epoch: int


def generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    """A random generator for one epoch or one batch, independent of earlier draws."""
    sequence = np.random.SeedSequence((seed, purpose, number))
    return np.random.Generator(np.random.Philox(sequence))


def rows_of(recipe: BatchRecipe, bucket: float) -> int:
    """Rows per batch of a bucket: as many as its seconds allow, a multiple of `multiple`."""
    multiple = recipe.multiple or recipe.pieces
    return max(multiple, int(recipe.seconds / bucket) // multiple * multiple)


def check_sizes(rows: Sequence[Row], sizes: Sequence[float], recipe: BatchRecipe) -> None:
    """Checks that every row fits into a bucket.

    Raises:
        InputError: with the number of rows that do not, and the first one.
    """
    limit = recipe.buckets[-1]
    long = [row for row, size in zip(rows, sizes, strict=True) if size > limit]
    if long:
        raise InputError(
            f"{len(long)} rows are longer than the last of batch.buckets, {limit} s; the first is "
            f"{long[0].id}: set batch.buckets, or exclude them in prepare"
        )


@dataclasses.dataclass
class Batches:
    """The batches of a run.

    Every row occurs once per epoch, or, with balanced speakers or manifest weights, as often as its
    weight on average. Remaining rows of a bucket move to the next longer one; the last batch is
    filled with rows of the same epoch.
    """

    rows: Sequence[Row]
    sizes: Sequence[float]  # by row
    recipe: BatchRecipe
    seed: int

    def __post_init__(self) -> None:
        if not self.rows:
            raise InputError("the prepared data has no rows to train on")
        check_sizes(self.rows, self.sizes, self.recipe)
        self._weights = _weights(self.rows, self.sizes, self.recipe)
        self._ends: list[int] = []  # cumulative batch counts of the epochs so far
        self._epochs: dict[int, list[tuple[tuple[int, ...], float]]] = {}
        self._lock = threading.Lock()

    def at(self, step: int) -> Chosen:
        """The batch of a step (from 0); thread-safe."""
        with self._lock:
            return self._at(step)

    def steps_of(self, epochs: float) -> int:
        """Number of steps of `epochs` epochs, at least 1."""
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
            self._epochs = {number: self._draw(number)}  # the current epoch
        return self._epochs[number]

    def _draw(self, number: int) -> list[tuple[tuple[int, ...], float]]:
        """Batches of an epoch as row indices."""
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
    """Expected occurrences of each row per epoch; the mean of rows with full weight is 1."""
    weights = np.asarray([row.weight for row in rows], np.float64)
    time: dict[str, float] = {}
    for row, size, weight in zip(rows, sizes, weights, strict=True):
        time[row.speaker] = time.get(row.speaker, 0.0) + size * weight
    if not recipe.balance or len(time) == 1:
        return weights
    factors = np.asarray([1 / math.sqrt(max(time[row.speaker], 1e-9)) for row in rows])
    balanced = weights * factors
    # Rounded, so that rows of speakers with equal time have exactly equal weights.
    return np.round(balanced * (weights.sum() / balanced.sum()), 9)


def collate(
    objective: Objective, data: Prepared, chosen: Chosen, recipe: Recipe, step: int
) -> Batch:
    """The arrays of a batch, with micro-batches as first axis.

    "row" numbers the rows of the whole batch; "progress" is the completed share of all steps.
    """
    rng = generator(recipe.seed, CONTENT, step)
    batch = dict(objective.collate(chosen.rows, data, chosen.seconds, rng))
    batch["row"] = np.arange(len(chosen.rows), dtype=np.int32)
    batch["progress"] = np.full(len(chosen.rows), step / recipe.steps, np.float32)
    return split(batch, recipe.batch.pieces)


def split(batch: Mapping[str, Any], pieces: int) -> Batch:
    """Splits arrays into micro-batches, which become the first axis.

    Raises:
        InputError: if the number of rows is not divisible.
    """
    found = {}
    for name, array in batch.items():
        if len(array) % pieces:
            raise InputError(f"{len(array)} rows of a batch are not a multiple of {pieces} pieces")
        found[name] = np.reshape(array, (pieces, len(array) // pieces, *np.shape(array)[1:]))
    return found
