"""Statistics of an array, computed in blocks so that memory does not grow with its size."""

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np

PIECE = 2**20  # numbers per block
SAMPLE = 2**16  # numbers sampled for the median


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """Counts, and moments of the finite numbers; NaN if there are none."""

    size: int
    nan: int
    inf: int
    zeros: int
    denormal: int  # numbers too small for full precision
    mean: float
    deviation: float
    low: float
    high: float

    @property
    def finite(self) -> int:
        """Numbers that are finite."""
        return self.size - self.nan - self.inf

    @property
    def share_of_zeros(self) -> float:
        return self.zeros / self.size if self.size else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The distribution of an array's numbers; computed in a second pass."""

    kurtosis: float  # 0 for a normal distribution, -1.2 for a uniform one
    median: float  # of the magnitudes, of a sample
    whole: bool  # whether all are whole numbers
    constant_slices: tuple[tuple[int, float], ...]  # along the first axis: one number throughout
    equal_slices: tuple[tuple[int, int], ...]  # pairs of a slice and an earlier equal one


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.reshape(-1)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE].astype(np.float64)


def measure(array: np.ndarray) -> Statistics:
    """The statistics of an array of any floating dtype."""
    counts = dict.fromkeys(("nan", "inf", "zeros", "denormal"), 0)
    # Denormal float16 numbers are common (below 6e-5) and not suspicious.
    tiny = 0.0 if array.dtype == np.float16 else float(np.finfo(np.float32).tiny)
    total, low, high = 0.0, math.inf, -math.inf
    for piece in _pieces(array):
        sound = np.isfinite(piece)
        if not sound.all():
            counts["nan"] += int(np.isnan(piece).sum())
            counts["inf"] += int(np.isinf(piece).sum())
            piece = piece[sound]
        zeros = int((piece == 0).sum())
        counts["zeros"] += zeros
        counts["denormal"] += int((np.abs(piece) < tiny).sum()) - zeros if tiny else 0
        if piece.size:
            total += float(piece.sum())
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    finite = array.size - counts["nan"] - counts["inf"]
    mean = total / finite if finite else math.nan
    return Statistics(
        size=array.size,
        **counts,
        mean=mean,
        deviation=math.sqrt(_power_sum(array, mean, 2) / finite) if finite else math.nan,
        low=low if finite else math.nan,
        high=high if finite else math.nan,
    )


def _power_sum(array: np.ndarray, mean: float, power: int) -> float:
    """The sum over the finite numbers of their distance from the mean, to a power."""
    with np.errstate(over="ignore"):
        return sum(
            float(((piece[np.isfinite(piece)] - mean) ** power).sum()) for piece in _pieces(array)
        )


def shape(array: np.ndarray, found: Statistics) -> Shape:
    """The distribution of the numbers of a measured array."""
    kurtosis = math.nan
    if found.finite and found.deviation > 0:
        fourth = _power_sum(array, found.mean, 4) / found.finite
        kurtosis = fourth / found.deviation**4 - 3 if found.deviation**4 > 0 else math.nan
    step = -(-array.size // SAMPLE) | 1  # odd, so that it is not a multiple of a common row length
    sample = np.abs(array.reshape(-1)[::step].astype(np.float64))
    sample = sample[np.isfinite(sample)]
    constant, equal = _slices(array) if array.ndim > 1 and array.shape[0] > 1 else ((), ())
    return Shape(
        kurtosis=kurtosis,
        median=float(np.median(sample)) if sample.size else math.nan,
        whole=all(bool((piece == np.round(piece)).all()) for piece in _pieces(array)),
        constant_slices=constant,
        equal_slices=equal,
    )


def _slices(
    array: np.ndarray,
) -> tuple[tuple[tuple[int, float], ...], tuple[tuple[int, int], ...]]:
    constant: list[tuple[int, float]] = []
    equal: list[tuple[int, int]] = []
    seen: dict[bytes, int] = {}
    for index, part in enumerate(array):
        first = part.flat[0]
        if part.size > 1 and (part == first).all():
            constant.append((index, float(first)))
            continue
        digest = hashlib.blake2b(np.ascontiguousarray(part).tobytes(), digest_size=16).digest()
        earlier = seen.setdefault(digest, index)
        if earlier != index and part.size > 1:
            equal.append((index, earlier))
    return tuple(constant), tuple(equal)


def together(parts: Iterable[Statistics]) -> Statistics:
    """The statistics of several arrays as if they were one."""
    parts = list(parts)
    held = [part for part in parts if part.finite]
    finite = sum(part.finite for part in held)
    mean = sum(part.mean * part.finite for part in held) / finite if held else math.nan
    squares = sum((part.deviation**2 + (part.mean - mean) ** 2) * part.finite for part in held)
    return Statistics(
        size=sum(part.size for part in parts),
        nan=sum(part.nan for part in parts),
        inf=sum(part.inf for part in parts),
        zeros=sum(part.zeros for part in parts),
        denormal=sum(part.denormal for part in parts),
        mean=mean,
        deviation=math.sqrt(squares / finite) if held else math.nan,
        low=min((part.low for part in held), default=math.nan),
        high=max((part.high for part in held), default=math.nan),
    )
