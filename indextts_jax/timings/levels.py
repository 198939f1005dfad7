"""How loud a segment is over time: where it pauses, and the quietest place for an edge."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

PAUSE = -45.0  # dB of the segment's level, below which there is silence
REACH = 0.03  # seconds that an edge may move
_WINDOW = 0.01  # seconds over which a level is measured
_STEP = 0.0025  # seconds between two levels
_TINY = 1e-12


def quiet_codes(
    wave: Float32[np.ndarray, " n"], bounds: Int[np.ndarray, " codes+1"]
) -> Bool[np.ndarray, " codes"]:
    """Which codes are a pause; `bounds` are the samples at which codes begin, and the end."""
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    # At double speed a code may have no frame of its own: it takes the next one.
    first = np.minimum(bounds[:-1], len(wave) - 1)
    last = np.minimum(np.maximum(bounds[1:], first + np.max(np.diff(bounds))), len(wave))
    mean = (power[last] - power[first]) / (last - first)
    whole = power[-1] / len(wave)
    return mean <= whole * 10 ** (PAUSE / 10) + _TINY


def settled(edges: Sequence[float], wave: Float32[np.ndarray, " n"], rate: int) -> list[float]:
    """Edges in seconds, each moved to the lowest level within `REACH`.

    They are in order and stay so: none goes further than halfway to its neighbour. Equal edges stay
    equal. Of equally quiet places the nearest is taken.
    """
    times, levels = _levels(wave, rate)
    distinct = sorted(set(edges))
    moved = {}
    for number, edge in enumerate(distinct):
        low = max(0.0, edge - REACH)
        high = min(len(wave) / rate, edge + REACH)
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
    wave: Float32[np.ndarray, " n"], rate: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Times in seconds, and the level around each in whole dB, nowhere below `PAUSE`."""
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    times = np.arange(0.0, len(wave) / rate, _STEP)
    places = np.rint(times * rate).astype(np.int64)
    half = round(_WINDOW * rate / 2)
    first = np.clip(places - half, 0, len(wave))
    last = np.clip(places + half, 0, len(wave))
    mean = (power[last] - power[first]) / np.maximum(last - first, 1)
    level = 10 * np.log10(np.maximum(mean, _TINY) / max(power[-1] / len(wave), _TINY))
    return times, np.rint(np.maximum(level, PAUSE))
