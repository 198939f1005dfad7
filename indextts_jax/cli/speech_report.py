"""What a command prints about its speech: faults, seconds by stage, real-time factor."""

from collections.abc import Mapping

from indextts_jax.cli.terminal import say, warn
from indextts_jax.engine.alignment.words import REPORTED
from indextts_jax.engine.faults import format_faults
from indextts_jax.engine.speech import Segment, Speech
from indextts_jax.utils.text_table import table


def report(speech: Speech, seconds: Mapping[str, float], output: str) -> str:
    """The table at the end: seconds by stage, seconds of audio, real-time factor."""
    total = sum(seconds.values())
    rows = [(stage, f"{spent:.2f}") for stage, spent in seconds.items()]
    stages = table(("stage", "seconds"), [*rows, ("total", f"{total:.2f}")])
    codes = sum(segment.codes for segment in speech.segments)
    return (
        f"{stages}\n\n{output}: {speech.duration:.2f} s of audio, {len(speech.segments)} "
        f"segment{'s' * (len(speech.segments) > 1)}, {codes} codes\n"
        f"real-time factor {speech.real_time_factor:.2f} (speaking), "
        f"{total / speech.duration:.2f} (with loading and prompts; both with compilation)"
    )


def show_faults(speech: Speech) -> None:
    """Warns of each segment with faults, and prints a line for each that needed retries."""
    for number, segment in enumerate(speech.segments, 1):
        tries = f" after {segment.tries} tries" if segment.tries > 1 else ""
        if segment.faults:
            faults = format_faults(segment.faults)
            warn(f"segment {number}{tries}: {faults}; {_advice(segment)}")
        elif tries:
            say(f"segment {number} has no faults{tries}")


def _advice(segment: Segment) -> str:
    if segment.truncated:
        return "lower --segment_tokens or raise --max_codes"
    if any(fault.kind == "not_finite" for fault in segment.faults):
        return "try --dtype float32, or another --seed"
    if all(fault.kind in REPORTED for fault in segment.faults):
        return "try another --seed"
    return "try another --seed, or --retries"
