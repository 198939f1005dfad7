"""Faults of a synthesized segment: no end, not finite, too short, too long, clipped.

On short texts the model may fail to stop, or stop at once. So codes beyond the time that any
speaker needs are cut off, and a segment without codes is always retried.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.text.frontend import Spoken

CLIPPED = 0.001  # share of samples beyond full scale that is audible as distortion
HASTY, SLUGGISH = 0.5, 2.0  # shares of the time that fast and slow speakers take
GRACE = 1.0  # seconds of tolerance at both limits
VANISHED = 0.25  # share of a fast speaker's time below which even a single word is incomplete
TOKEN_SECONDS = 0.24  # allowed per text token, even where its syllables cannot be counted
EMPTY_TRIES = 3  # retries of a segment without a single code, whatever the settings
FADE = 0.005  # seconds of fade next to silence
PATTERN = 25  # codes of the longest pattern that `longest_repeat` looks for


@dataclasses.dataclass(frozen=True)
class Fault:
    """A detected problem: machine-readable `kind` and human-readable `message`."""

    kind: str  # endless, runaway, empty, short, long, not_finite, clipped, skipped, repeated
    message: str


def runaway_limit(spoken: Spoken, codes_per_second: int) -> int:
    """Number of codes by which all of a segment's text must have been spoken."""
    token = round(TOKEN_SECONDS * codes_per_second)
    return max(spoken.most_codes(codes_per_second), token * len(spoken.ids))


def length_faults(
    seconds: float, expected: tuple[float, float], *, truncated: bool, cut: bool = False
) -> tuple[Fault, ...]:
    """Faults in the length of a segment, at the model's own speed.

    `expected` is the time in seconds that a fast and a slow speaker need for its text; `truncated`
    says that the limit of the settings was reached before a stop code, `cut` that the codes were
    cut off at `runaway_limit`.
    """
    between = f"its text takes {expected[0]:.1f} to {expected[1]:.1f} s to say"
    if cut:
        return (
            Fault("runaway", f"it did not stop by {seconds:.1f} s and was cut there; {between}"),
        )
    if truncated:
        return (Fault("endless", f"no stop code came within {seconds:.1f} s of audio"),)
    if seconds <= 0:
        return (Fault("empty", "nothing was said"),)
    if expected[1] <= 0:
        return ()  # a text whose syllables cannot be counted
    if seconds < max(HASTY * expected[0] - GRACE, VANISHED * expected[0]):
        return (Fault("short", f"it lasts only {seconds:.2g} s, but {between}"),)
    if seconds > SLUGGISH * expected[1] + GRACE:
        return (Fault("long", f"it lasts {seconds:.1f} s, but {between}"),)
    return ()


def sample_faults(wave: Float32[np.ndarray, " n"]) -> tuple[Fault, ...]:
    """Faults in a segment's samples, before they are clipped."""
    found = []
    if bad := float(np.mean(~np.isfinite(wave))):
        found.append(
            Fault("not_finite", f"{bad:.1%} of its samples are not finite and were silenced")
        )
    if (beyond := float(np.mean(np.abs(wave) > 1))) > CLIPPED:
        found.append(Fault("clipped", f"{beyond:.1%} of its samples are beyond full scale"))
    return tuple(found)


def longest_repeat(codes: Int[np.ndarray, " n"]) -> int:
    """Codes in the longest run of one repeated pattern; 0 if no pattern repeats.

    A model that has lost its place in the text repeats a code or a syllable.
    """
    longest = 0
    for period in range(1, min(PATTERN, len(codes) // 2) + 1):
        same = np.concatenate([[False], codes[period:] == codes[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        run = int(np.max(edges[1::2] - edges[::2], initial=0))
        if run >= period:
            longest = max(longest, run + period)
    return longest


def playable(wave: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """The samples clipped to [-1, 1]; values that are not finite become silence."""
    return np.clip(np.where(np.isfinite(wave), wave, np.float32(0)), -1, 1)


def faded(
    wave: Float32[np.ndarray, " n"], sample_rate: int, *, start: bool, end: bool
) -> Float32[np.ndarray, " n"]:
    """The samples with a fade-in and a fade-out, so that they join silence without a click."""
    size = min(round(FADE * sample_rate), len(wave) // 2)
    if not size:
        return wave
    ramp = (np.sin(np.linspace(0, np.pi / 2, size, endpoint=False)) ** 2).astype(np.float32)
    result = wave.copy()
    if start:
        result[:size] *= ramp
    if end:
        result[-size:] *= ramp[::-1]
    return result


def format_faults(found: Sequence[Fault]) -> str:
    """The faults as one line."""
    return "; ".join(fault.message for fault in found)
