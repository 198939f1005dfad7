"""What is wrong with a spoken segment: no end, no numbers, too short, too long, too loud.

A short text is where a model goes astray: it does not stop, or stops at once. So codes past any
speaker's time are cut off, and a segment that gives none is always tried again.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.text.frontend import Spoken

CLIPPED = 0.001  # share of samples beyond full scale that is heard as distortion
HASTY, SLUGGISH = 0.5, 2.0  # shares of the time that fast and slow speakers take
GRACE = 1.0  # seconds that any segment may last, and may last longer
VANISHED = 0.25  # share of a fast speaker's time under which even a single word is not said
TOKEN_CODES = 12  # that each text token may take, even where its syllables cannot be counted
EMPTY_TRIES = 3  # further tries for a segment without a single code, whatever the settings say
FADE = 0.005  # seconds over which a segment comes out of silence, and goes into it
PATTERN = 25  # codes of the longest pattern whose repetition is looked for


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that is wrong: a word for programs, a clause for people."""

    kind: str  # endless, runaway, empty, short, long, not_finite, clipped
    message: str


def runaway_limit(spoken: Spoken, codes_per_second: int) -> int:
    """Codes of a segment past which nothing of its text can be left to say."""
    return max(spoken.most_codes(codes_per_second), TOKEN_CODES * len(spoken.ids))


def length_faults(
    seconds: float, expected: tuple[float, float], *, truncated: bool, cut: bool = False
) -> tuple[Fault, ...]:
    """What is wrong with a segment's length at the model's own speed.

    `expected` is how many seconds a fast and a slow speaker take for its text; `truncated` says
    that no stop code came before the limit of the settings, `cut` that it was cut off at
    `runaway_limit`.
    """
    between = f"its text takes {expected[0]:.1f} to {expected[1]:.1f} s to say"
    if cut:
        return (
            Fault("runaway", f"it went on after {seconds:.1f} s, and was cut there; {between}"),
        )
    if truncated:
        return (Fault("endless", f"no end came within {seconds:.1f} s of audio"),)
    if seconds <= 0:
        return (Fault("empty", "nothing was said"),)
    if expected[1] <= 0:
        return ()  # a text whose syllables cannot be counted
    if seconds < max(HASTY * expected[0] - GRACE, VANISHED * expected[0]):
        return (Fault("short", f"it lasts only {seconds:.2g} s, and {between}"),)
    if seconds > SLUGGISH * expected[1] + GRACE:
        return (Fault("long", f"it lasts {seconds:.1f} s, and {between}"),)
    return ()


def sample_faults(wave: Float32[np.ndarray, " n"]) -> tuple[Fault, ...]:
    """What is wrong with a segment's samples, which are not clipped yet."""
    found = []
    if bad := float(np.mean(~np.isfinite(wave))):
        found.append(
            Fault("not_finite", f"{bad:.1%} of its samples are no finite numbers, and are silent")
        )
    if (beyond := float(np.mean(np.abs(wave) > 1))) > CLIPPED:
        found.append(Fault("clipped", f"{beyond:.1%} of its samples are beyond full scale"))
    return tuple(found)


def longest_repeat(codes: Int[np.ndarray, " n"]) -> int:
    """Codes of the longest stretch that is one pattern over and over; 0 where none comes twice.

    A model that has lost its place in the text repeats itself: one code, or a syllable.
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
    """The samples within [-1, 1]; what is not finite is silent."""
    return np.clip(np.where(np.isfinite(wave), wave, np.float32(0)), -1, 1)


def faded(
    wave: Float32[np.ndarray, " n"], sample_rate: int, *, start: bool, end: bool
) -> Float32[np.ndarray, " n"]:
    """The samples, out of and into silence without a click."""
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
