"""Marks arrays that look broken, untrained or odd, with the reason."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from indextts_jax.checkpoint.inspection.measure import Shape, Statistics

BROKEN, UNTRAINED, ODD = "broken", "untrained", "odd"
KINDS = (BROKEN, UNTRAINED, ODD)

# Initial value by role; arrays of other names are initialised randomly.
INITIAL = {"scale": 1.0, "var": 1.0, "bias": 0.0, "mean": 0.0, "alpha": 0.0, "beta": 0.0}
ANY_CONSTANT = "gamma"  # initialised with a constant that depends on the architecture

# Limits on deviation * sqrt(inputs), which is near 1 for a trained kernel.
SMALL_SPREAD, LARGE_SPREAD = 1e-3, 1e2
LARGEST, LARGEST_STATISTIC = 1e4, 1e8  # magnitudes; a statistic is a mean or a variance
OUTLIER = 1e4  # times the median magnitude
MANY_ZEROS, MANY_DENORMAL = 0.5, 0.01
ENOUGH, ENOUGH_FOR_SHAPE, ENOUGH_FOR_NORMAL = 64, 1000, 10_000  # least sizes for a verdict
NORMAL_START = 0.02  # initial deviation in transformers
SHOWN = 5  # slices that are named


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A problem of an array: its kind, and the reason in words."""

    kind: str
    reason: str


def marks(
    name: str, dimensions: Sequence[int], found: Statistics, shape: Shape, *, table: bool
) -> list[Mark]:
    """All marks of an array of this name; `table` says that it is a constant, not trained."""
    if not found.size:
        return [Mark(BROKEN, "is empty")]
    marked = list(_not_finite(found))
    if not found.finite:
        return marked
    if found.size > 1 and found.low == found.high and found.finite == found.size:
        return [*marked, _constant(name, found.low)]
    marked += _statistic(name, found)
    if table:
        return marked
    weight = name not in INITIAL and name != ANY_CONSTANT
    marked += _slices(name, dimensions, shape)
    marked += _magnitudes(name, dimensions, found, shape, weight)
    if weight and not marked:
        marked += _as_initialised(dimensions, found, shape)
    return marked


def _not_finite(found: Statistics) -> Iterator[Mark]:
    for count, what in ((found.nan, "NaN"), (found.inf, "infinite")):
        if count:
            yield Mark(BROKEN, f"{count:,} of {found.size:,} numbers are {what}")


def _constant(name: str, value: float) -> Mark:
    if INITIAL.get(name) == value:
        return Mark(UNTRAINED, f"exactly {value:g} throughout, as initialised")
    if name == ANY_CONSTANT:
        return Mark(UNTRAINED, f"{value:g} throughout, as initialised")
    kind = ODD if name in INITIAL and value else BROKEN
    return Mark(kind, "all zero" if value == 0 else f"every number is {value:g}")


def _statistic(name: str, found: Statistics) -> Iterator[Mark]:
    if name != "var":
        return
    if found.low < 0:
        yield Mark(BROKEN, f"a negative variance: {found.low:g}")
    elif found.zeros:
        yield Mark(BROKEN, f"a variance of 0 in {found.zeros:,} of {found.size:,} channels")


def _slices(name: str, dimensions: Sequence[int], shape: Shape) -> Iterator[Mark]:
    by_value: dict[float, list[int]] = {}
    for index, value in shape.constant_slices:
        by_value.setdefault(value, []).append(index)
    for value, indices in by_value.items():
        # A matrix may have a dead row, but a whole layer of a stack should not be constant.
        layers = len(dimensions) > 2 or name in INITIAL
        kind = UNTRAINED if INITIAL.get(name) == value else BROKEN if layers else ODD
        yield Mark(
            kind,
            f"{value:g} throughout in {len(indices):,} of {dimensions[0]:,} slices along the first "
            f"axis: {_listed(indices)}",
        )
    if shape.equal_slices:
        pairs = [f"{index} as {earlier}" for index, earlier in shape.equal_slices]
        yield Mark(
            ODD,
            f"{len(pairs):,} of {dimensions[0]:,} slices along the first axis equal an earlier "
            f"one: {_listed(pairs)}",
        )


def _listed(items: Sequence[object]) -> str:
    more = ", ..." if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more


def _magnitudes(
    name: str, dimensions: Sequence[int], found: Statistics, shape: Shape, weight: bool
) -> Iterator[Mark]:
    largest = max(abs(found.low), abs(found.high))
    limit = LARGEST_STATISTIC if name in ("mean", "var") else LARGEST
    if found.denormal > MANY_DENORMAL * found.size:
        yield Mark(
            BROKEN,
            f"{found.denormal / found.size:.0%} of the numbers are denormal: bytes read as another "
            "type?",
        )
    if largest > limit:
        yield Mark(BROKEN, f"magnitudes up to {largest:.1e}")
    elif weight and found.size >= ENOUGH_FOR_SHAPE and largest > OUTLIER * shape.median > 0:
        yield Mark(
            ODD, f"an outlier: {largest:.1e}, and the median magnitude is {shape.median:.1e}"
        )
    if not weight or found.size < ENOUGH:
        return
    if found.share_of_zeros > MANY_ZEROS:
        yield Mark(ODD, f"{found.share_of_zeros:.0%} zeros")
    if shape.whole:
        yield Mark(ODD, "only whole numbers: quantised, or bytes read as another type?")
    spread = found.deviation * (math.sqrt(_inputs(dimensions)[0]) if name == "kernel" else 1.0)
    if largest <= limit and not SMALL_SPREAD <= spread <= LARGE_SPREAD:
        of = f", {spread:.1e} times 1 / sqrt(inputs)" if name == "kernel" else ""
        yield Mark(ODD, f"a deviation of {found.deviation:.1e}{of}: far from a trained one")


def _inputs(dimensions: Sequence[int]) -> list[int]:
    """Inputs per output of a kernel: unstacked, and with a leading axis of layers."""
    return [max(1, math.prod(dimensions[start:-1])) for start in (0, 1)]


def _as_initialised(dimensions: Sequence[int], found: Statistics, shape: Shape) -> Iterator[Mark]:
    bound = max(-found.low, found.high)
    uniform = (
        found.size >= ENOUGH_FOR_SHAPE
        and abs(shape.kurtosis + 1.2) < 0.1
        and abs(found.deviation * math.sqrt(3) / bound - 1) < 0.03
    )
    if uniform and any(abs(bound * math.sqrt(n) - 1) < 0.01 for n in _inputs(dimensions)):
        yield Mark(
            UNTRAINED, f"uniform within 1 / sqrt(inputs) = {bound:.3g}, as PyTorch initialises"
        )
    elif (
        found.size >= ENOUGH_FOR_NORMAL
        and abs(found.deviation / NORMAL_START - 1) < 0.01
        and abs(found.mean) < 5 * NORMAL_START / np.sqrt(found.size)
        and abs(shape.kurtosis) < 0.1
    ):
        yield Mark(UNTRAINED, f"normal with deviation {NORMAL_START}, as transformers initialises")
