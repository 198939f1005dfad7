"""How loud a segment is over time: where it pauses, and the quietest place for an edge."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

PAUSE = -45.0  # dB of the segment's level, below which there is silence
REACH = 0.03  # seconds that an edge may move
_WINDOW = 0.01  # seconds over which a level is measured
_STEP = 0.0025  # seconds between two levels
_TINY = 1e-12


def energy_of(wave: Float32[np.ndarray, " n"]) -> Float[np.ndarray, " n+1"]:
    """The sum of the squares of all samples before each, and of all: what levels are made from."""
    energy = np.zeros(len(wave) + 1)
    np.square(wave, out=energy[1:], dtype=np.float64)
    return np.cumsum(energy, out=energy)


def quiet_codes(
    energy: Float[np.ndarray, " n+1"], bounds: Int[np.ndarray, " codes+1"]
) -> Bool[np.ndarray, " codes"]:
    """Which codes are a pause; `bounds` are the samples at which codes begin, and the end."""
    samples = len(energy) - 1
    # At double speed a code may have no frame of its own: it takes the next one.
    first = np.minimum(bounds[:-1], samples - 1)
    last = np.minimum(np.maximum(bounds[1:], first + np.max(np.diff(bounds))), samples)
    mean = (energy[last] - energy[first]) / (last - first)
    whole = energy[-1] / samples
    return mean <= whole * 10 ** (PAUSE / 10) + _TINY


def settled(edges: Sequence[float], energy: Float[np.ndarray, " n+1"], rate: int) -> list[float]:
    """Edges in seconds, each moved to the lowest level within `REACH`.

    They are in order and stay so: none goes further than halfway to its neighbour. Equal edges stay
    equal. Of equally quiet places the nearest is taken.
    """
    times, levels = _levels(energy, rate)
    end = (len(energy) - 1) / rate
    distinct = sorted(set(edges))
    moved = {}
    for number, edge in enumerate(distinct):
        low = max(0.0, edge - REACH)
        high = min(end, edge + REACH)
        if number:
            low = max(low, (distinct[number - 1] + edge) / 2)
        if number + 1 < len(distinct):
            high = min(high, (edge + distinct[number + 1]) / 2)
        start, stop = np.searchsorted(times, (low, high))
        near = slice(start, stop)
        if start == stop:
            moved[edge] = edge
            continue
        best = np.lexsort((np.abs(times[near] - edge), levels[near]))[0]
        moved[edge] = float(times[near][best])
    return [moved[edge] for edge in edges]


def _levels(
    energy: Float[np.ndarray, " n+1"], rate: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Times in seconds, and the level around each in whole dB, nowhere below `PAUSE`."""
    samples = len(energy) - 1
    times = np.arange(0.0, samples / rate, _STEP)
    places = np.rint(times * rate).astype(np.int64)
    half = round(_WINDOW * rate / 2)
    first = np.clip(places - half, 0, samples)
    last = np.clip(places + half, 0, samples)
    mean = (energy[last] - energy[first]) / np.maximum(last - first, 1)
    level = 10 * np.log10(np.maximum(mean, _TINY) / max(energy[-1] / samples, _TINY))
    return times, np.rint(np.maximum(level, PAUSE))
