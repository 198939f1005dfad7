"""How two arrays are compared: relative to the reference's RMS, integers exactly."""

import dataclasses

import numpy as np

ATOL = 2e-4  # largest difference, over the RMS of the reference
RTOL = 1e-5  # RMS of the difference, over the RMS of the reference
ONE_RUN_RTOL = 1e-4  # the same, in the one run from audio files to waveform


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One array of ours beside the reference's."""

    name: str
    shape: tuple[int, ...]
    rms: float  # RMS of the difference over the RMS of the reference; share of unequal integers
    largest: float  # largest difference over the RMS of the reference
    cosine: float
    passed: bool
    note: str = ""


def errors(ours: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """RMS and largest difference, both over the RMS of the reference (1 if that is 0).

    NaN anywhere, or infinity, makes both infinite.
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
    name: str, ours: np.ndarray, reference: np.ndarray, *, atol: float = ATOL, rtol: float = RTOL
) -> Comparison:
    """The comparison of one array; shapes and integers must be equal."""
    if ours.shape != reference.shape:
        note = f"shape {ours.shape}, expected {reference.shape}"
        return failure(name, note, ours.shape)
    if reference.dtype.kind in "iub":
        unequal = ours != reference
        share = float(np.mean(unequal)) if unequal.size else 0.0
        note = ""
        if share:
            first = tuple(int(i) for i in np.argwhere(unequal)[0])
            note = f"first at {first}: {ours[first]}, expected {reference[first]}"
        return Comparison(name, ours.shape, share, share, _cosine(ours, reference), not share, note)
    rms, largest = errors(ours, reference)
    passed = rms <= rtol and largest <= atol
    note = ""
    if ours.size:
        gap = np.abs(ours.astype(np.float64) - reference)
        worst = np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
        place = tuple(int(i) for i in worst)
        note = f"worst at {place}: {ours[worst]:.9g}, expected {reference[worst]:.9g}"
    return Comparison(name, ours.shape, rms, largest, _cosine(ours, reference), passed, note)


def failure(name: str, note: str, shape: tuple[int, ...] = ()) -> Comparison:
    """A comparison that could not be made."""
    return Comparison(name, shape, np.inf, np.inf, np.nan, False, note)
