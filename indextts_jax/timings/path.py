"""From attention to places: which codes say which piece, in the order of the text.

The best monotone path through a matrix of codes and pieces (Viterbi), with states of silence
between words.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

FLOOR = 1e-3  # attention below this counts as this
SKIP = 12.0  # nats that leaving out a sounding piece costs: more than a code without attention
LOUD = 8.0  # nats that a code of silence costs where there is sound
QUIET_BONUS = 0.1  # nats: where a pause is quiet, silence goes before any piece


class Path:
    """A monotone path over pieces, found as codes come in.

    path = Path(sounding, begins)
    path.extend(attention, quiet)  # any number of times, in order
    first, last = path.codes()

    `sounding` says which pieces have a sound of their own: each of these gets one code at least, as
    long as there are enough. `begins` says before which pieces there may be silence.
    `bonus` is what a quiet code gains as silence, in nats.
    """

    def __init__(
        self,
        sounding: Bool[np.ndarray, " t"],
        begins: Bool[np.ndarray, " t"],
        bonus: float = QUIET_BONUS,
    ):
        self._bonus = bonus
        self.count = len(sounding)
        # States in order: the silence before a piece, the piece, ..., the silence at the end.
        costs = np.zeros(2 * self.count + 1)
        costs[1::2] = SKIP * sounding
        self._behind = np.cumsum(costs)  # of passing all states up to and with one
        self._before = self._behind - costs
        allowed = np.concatenate([begins, [True]])
        self._silence = np.where(allowed, 0.0, -np.inf)
        self._totals: list[Float[np.ndarray, " states"]] = []  # best scores, by code
        # The best of each state and all before it, if what follows them is left out.
        self._best: list[Float[np.ndarray, " states"]] = []

    def extend(self, attention: Float[np.ndarray, "s t"], quiet: Bool[np.ndarray, " s"]) -> None:
        """Goes on with more codes: their attention to each piece, and whether they are quiet."""
        scores = np.log(np.maximum(attention, FLOOR))
        peaks = scores.max(axis=1, initial=np.log(FLOOR))
        silence = np.where(quiet, peaks + self._bonus, peaks - LOUD)
        emitted = np.empty((len(scores), 2 * self.count + 1))
        emitted[:, 0::2] = silence[:, None] + self._silence
        emitted[:, 1::2] = scores
        # One array for each, as the calls below cost more than what they compute.
        totals, bests = np.empty_like(emitted), np.empty_like(emitted)
        costs, moved = self._before[1:], np.full(emitted.shape[1], -np.inf)
        arrived = moved[1:]
        for row, total, best in zip(emitted, totals, bests, strict=True):
            if not self._totals:
                np.subtract(row, self._before, out=total)
            else:
                # From the best earlier state, if all between it and this one are left out.
                np.subtract(self._best[-1][:-1], costs, out=arrived)
                np.maximum(self._totals[-1], moved, out=total)
                np.add(total, row, out=total)
            np.add(total, self._behind, out=best)
            np.maximum.accumulate(best, out=best)
            self._totals.append(total)
            self._best.append(best)

    def states(self, *, whole: bool = True) -> Int[np.ndarray, " s"]:
        """The state of each code so far: 2n + 1 for piece n, even numbers for silence.

        `whole` says that these are all codes, so that what is left of the text is left out.
        """
        if not self._totals:
            return np.zeros(0, np.int64)
        ends = self._totals[-1] - (self._behind[-1] - self._behind if whole else 0.0)
        state = int(np.argmax(ends))
        found = np.empty(len(self._totals), np.int64)
        for number in range(len(self._totals) - 1, 0, -1):
            found[number] = state
            before, best = self._totals[number - 1], self._best[number - 1]
            if state and best[state - 1] - self._before[state] > before[state]:
                state = int(np.argmax(before[:state] + self._behind[:state]))
        found[0] = state
        return found

    def codes(self, *, whole: bool = True) -> tuple[Int[np.ndarray, " t"], Int[np.ndarray, " t"]]:
        """For each piece its first code and the one behind its last; equal if it has none.

        A piece without codes is where the next one begins.
        """
        states = self.states(whole=whole)
        pieces = 2 * np.arange(self.count) + 1
        return np.searchsorted(states, pieces), np.searchsorted(states, pieces, side="right")


def code_bounds(
    frame_codes: Int[np.ndarray, " f"], codes: int, per_code: int = 1
) -> Int[np.ndarray, " codes+1"]:
    """The first frame of each code, and the number of frames, from the regulator's own index map.

    `frame_codes` gives the entry of the regulator's input that each frame repeats; a code has
    `per_code` entries.
    """
    return np.searchsorted(frame_codes, per_code * np.arange(codes + 1)).astype(np.int64)
