"""How two arrays are compared: relative to the reference's RMS, integers exactly."""

import dataclasses
import re

import numpy as np

ATOL = 2e-4  # largest difference, over the RMS of the reference
RTOL = 1e-5  # RMS of the difference, over the RMS of the reference
ONE_RUN_RTOL = 1e-4  # the same, in the end-to-end run from audio files to waveform


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The comparison of one array with the reference's."""

    name: str
    shape: tuple[int, ...]
    rms: float  # relative RMS error; for integers, the share of unequal ones
    largest: float  # largest difference over the RMS of the reference
    cosine: float
    passed: bool
    note: str = ""
    exact: bool = False  # whether integers, which must be equal
    of_limit: float = 0.0  # share of the tolerance used; passes up to 1

    @property
    def stage(self) -> str:
        """The stage that the array belongs to."""
        return re.split(r"[./]", self.name)[0]


def errors(ours: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """RMS and largest difference, both divided by the RMS of the reference (1 if that is 0).

    Any NaN or infinity makes both infinite.
    """
    wide, other = ours.astype(np.float64), reference.astype(np.float64)
    if not wide.size:
        return 0.0, 0.0
    scale = float(np.sqrt(np.mean(other**2))) or 1.0
    difference = np.abs(wide - other) / scale
    if not np.isfinite(difference).all():
        return float("inf"), float("inf")
    return float(np.sqrt(np.mean(difference**2))), float(difference.max())


def _cosine(ours: np.ndarray, reference: np.ndarray) -> float:
    a, b = ours.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    if not np.isfinite(a).all():
        return float("nan")
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b / norms) if norms else float(np.array_equal(a, b))


def compare(
    name: str,
    ours: np.ndarray,
    reference: np.ndarray,
    *,
    atol: float = ATOL,
    rtol: float = RTOL,
    margins: np.ndarray | None = None,
) -> Comparison:
    """Compares one array; shapes and integers must be equal.

    `margins` gives for each integer by how much the reference preferred it to the next choice.
    """
    integers = reference.dtype.kind in "iub"
    if ours.shape != reference.shape:
        note = f"shape {ours.shape}, expected {reference.shape}"
        if not (integers and ours.dtype.kind in "iub" and _same_rows(ours, reference)):
            return failure(name, note, ours.shape)
        share, where = _unequal(ours, reference, margins)
        return Comparison(
            name, ours.shape, share, share, np.nan, False, f"{note}; {where}", True, np.inf
        )
    if integers:
        share, note = _unequal(ours, reference, margins)
        cosine = _cosine(ours, reference)
        used = np.inf if share else 0.0
        return Comparison(name, ours.shape, share, share, cosine, not share, note, True, used)
    rms, largest = errors(ours, reference)
    passed = rms <= rtol and largest <= atol
    note = ""
    if ours.size:
        gap = np.abs(ours.astype(np.float64) - reference)
        worst = np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
        place = tuple(int(i) for i in worst)
        note = f"worst at {place}: {ours[worst]:.9g}, expected {reference[worst]:.9g}"
    used = max(_share(rms, rtol), _share(largest, atol))
    cosine = _cosine(ours, reference)
    return Comparison(name, ours.shape, rms, largest, cosine, passed, note, False, used)


def _share(error: float, limit: float) -> float:
    return error / limit if limit else (np.inf if error else 0.0)


def _same_rows(ours: np.ndarray, reference: np.ndarray) -> bool:
    """Whether only the row lengths differ, as with codes that end at different steps."""
    return 0 < ours.ndim == reference.ndim and ours.shape[:-1] == reference.shape[:-1]


def _unequal(
    ours: np.ndarray, reference: np.ndarray, margins: np.ndarray | None
) -> tuple[float, str]:
    """The share of integers that differ, including those past the shorter array's end; and where.

    With margins, also how close the reference was to another choice: at the first difference, and
    at least in that row up to there.
    """
    if not ours.ndim:
        other = bool(ours != reference)
        return float(other), f"{ours}, expected {reference}" if other else ""
    common = min(ours.shape[-1], reference.shape[-1])
    longest = max(ours.shape[-1], reference.shape[-1])
    unequal = np.ones((*reference.shape[:-1], longest), bool)
    unequal[..., :common] = ours[..., :common] != reference[..., :common]
    if not unequal.any():
        return 0.0, ""
    share = float(np.mean(unequal))
    first = tuple(int(i) for i in np.argwhere(unequal)[0])
    *row, step = first
    values = [a[first] if step < a.shape[-1] else "the end" for a in (ours, reference)]
    note = (
        f"first at {first}: {values[0]}, expected {values[1]} "
        f"(step {step + 1} of {reference.shape[-1]}); {1 - share:.1%} equal"
    )
    if margins is not None and margins.ndim == len(first) and step < margins.shape[-1]:
        led = margins[tuple(row)]
        note += (
            f"; the reference preferred its choice there by {led[step]:.1e}, "
            f"and by at least {led[: step + 1].min():.1e} up to there"
        )
    return share, note


def failure(name: str, note: str, shape: tuple[int, ...] = ()) -> Comparison:
    """A comparison that could not be made."""
    return Comparison(name, shape, np.inf, np.inf, np.nan, False, note, False, np.inf)
