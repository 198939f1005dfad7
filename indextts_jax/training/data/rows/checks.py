"""Checks of clips: each finding rejects a clip or is a warning, with a reason."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.training.data.rows import texts
from indextts_jax.training.data.rows.recording import Measured
from indextts_jax.training.data.rows.texts import ReadText

NORMAL = 1.4826  # times the median deviation: the standard deviation of a normal distribution
FULL = 0.8  # share of the usual bandwidth: many codecs cut somewhat below it
JUDGED = 20  # least number of clips for statistics of pace
SMALLEST = 0.05  # lower bound of the deviation, so that uniform sets reject nothing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits for rejections and warnings."""

    min_seconds: float = 0.6
    max_seconds: float = 20.0
    min_rate: int = 8000  # Hz
    usual_rate: int = 22050  # Hz; less gives a warning
    clipped: float = 0.001  # share of samples
    noise: float = 15.0  # dB of signal to noise
    stereo: float = 0.1
    tokens: int | None = None  # text tokens; the model's positions if the GPT is trained
    codes: int | None = None
    allow_unknown: bool = False
    rejected: float = 4.0  # deviations of seconds per letter
    doubtful: float = 2.5
    repeats: int = 6  # repetitions of a word in a row
    min_clips: int = 20
    min_minutes: float = 1.0
    dominant: float = 0.6  # one speaker's share of the time
    validation: int = 20  # clips; a loss over fewer is not meaningful

    def __post_init__(self) -> None:
        if not 0.1 <= self.min_seconds < self.max_seconds <= 60:
            raise InputError(
                f"min_seconds and max_seconds: expected 0.1 <= min_seconds < max_seconds <= 60, "
                f"got {self.min_seconds:g} and {self.max_seconds:g}",
                "min_seconds",
                "max_seconds",
            )


class Finding(NamedTuple):
    """One problem of a clip."""

    kind: str  # machine-readable, such as "audio: silent"
    message: str  # human-readable
    rejects: bool


def audio_findings(measured: Measured, seconds: float, limits: Limits) -> list[Finding]:
    """Findings about a recording; `seconds` is its length after trimming."""
    if measured.fault:
        return [Finding(f"audio: {measured.fault}", measured.message, True)]
    found = []

    def reject(kind: str, message: str) -> None:
        found.append(Finding(f"audio: {kind}", message, True))

    def warn(kind: str, message: str) -> None:
        found.append(Finding(f"audio: {kind}", message, False))

    if seconds < limits.min_seconds:
        reject("short", f"{seconds:.2f} s of speech; at least {limits.min_seconds:g} s")
    if seconds > limits.max_seconds:
        reject("long", f"{seconds:.1f} s of speech; at most {limits.max_seconds:g} s")
    if measured.rate < limits.min_rate:
        reject("rate", f"{measured.rate} Hz; at least {limits.min_rate} Hz")
    elif measured.rate < limits.usual_rate:
        warn("rate", f"{measured.rate} Hz; {limits.usual_rate} Hz cover the trained bandwidth")
    elif 2 * measured.band < FULL * limits.usual_rate:
        warn(
            "band",
            f"nothing above {measured.band:.0f} Hz: it was resampled from a lower rate",
        )
    if measured.clipped > limits.clipped:
        warn("clipped", f"{measured.clipped:.1%} of the samples are at full scale")
    if measured.noise < limits.noise:
        warn("noise", f"loud parts are only {measured.noise:.0f} dB above soft ones")
    for note in measured.notes:
        warn("header", note)
    if measured.stereo > limits.stereo:
        warn("stereo", "the channels differ; their mean is used")
    if measured.last - measured.first < measured.length:
        warn(
            "ends",
            f"{measured.lead:.2f} s of silence before, {measured.tail:.2f} s after: trimmed",
        )
    return found


def text_findings(text: str, read: ReadText, limits: Limits) -> list[Finding]:
    """Findings about a text."""
    if read.fault:
        return [Finding(f"text: {read.fault}", read.message, True)]
    found = []
    if limits.tokens is not None and len(read.tokens) > limits.tokens:
        message = f"{len(read.tokens)} text tokens; at most {limits.tokens}"
        found.append(Finding("text: long", message, True))
    if read.unknown:
        shown = ", ".join(read.unknown[:5])
        message = f"unknown to the tokenizer: {shown}"
        found.append(Finding("text: unknown", message, not limits.allow_unknown))
    if left := texts.left_over(read.spoken):
        found.append(Finding("text: symbols", f"{left[:20]} remains after normalising", False))
    if text.isupper() and texts.letters(text) > 8:
        found.append(Finding("text: capitals", "the text is all capitals", False))
    word, count = texts.repeated_word(read.spoken)
    if count >= limits.repeats:
        found.append(Finding("text: stuck", f"{word!r} {count} times in a row", False))
    found += [Finding("text: front end", notice, False) for notice in read.notices]
    return found


def length_findings(
    read: ReadText | None, features: int, codes: int, limits: Limits
) -> list[Finding]:
    """Findings about a clip's length that are impossible for its text.

    `features` are its semantic features, of 20 ms each.
    """
    found = []
    if limits.codes is not None and codes > limits.codes:
        message = f"{codes} codes; the model has positions for {limits.codes}"
        found.append(Finding("match: positions", message, True))
    if read is not None and (least := texts.ctc_frames(read.spoken)) > features:
        message = f"{least} characters in {features} frames of 20 ms: too much text"
        found.append(Finding("match: crowded", message, True))
    return found


def match_findings(
    spoken: Sequence[str], seconds: Sequence[float], limits: Limits
) -> list[list[Finding]]:
    """For each clip, a finding if its seconds per letter are unusual.

    Robust z-scores of log seconds per letter: deviations from the median, in units of the scaled
    median deviation. Not computed for fewer than `JUDGED` clips.
    """
    results: list[list[Finding]] = [[] for _ in seconds]
    if len(seconds) < JUDGED:
        return results
    counts = np.asarray([texts.letters(text) + texts.ENDS for text in spoken], np.float64)
    rates = np.log(np.asarray(seconds, np.float64) / counts)
    median = np.median(rates)
    deviation = max(NORMAL * float(np.median(np.abs(rates - median))), SMALLEST)
    for found, rate in zip(results, rates, strict=True):
        away = (rate - median) / deviation
        if abs(away) <= limits.doubtful:
            continue
        message = (
            f"{1000 * np.exp(rate):.0f} ms per letter, median {1000 * np.exp(median):.0f} ms "
            f"({abs(away):.1f} deviations): "
            + ("is text missing in the audio?" if away < 0 else "is there more in the audio?")
        )
        rejects = bool(abs(away) > limits.rejected)
        found.append(Finding("match: pace" if rejects else "match: odd pace", message, rejects))
    return results


class Kept(NamedTuple):
    """An accepted clip, for checks of the whole set."""

    text: str
    speaker: str
    seconds: float
    split: str


def set_refusal(kept: Sequence[Kept], limits: Limits) -> str | None:
    """Why the set is too small to train on, or None."""
    minutes = sum(clip.seconds for clip in kept) / 60
    if len(kept) >= limits.min_clips and minutes >= limits.min_minutes:
        return None
    return (
        f"{len(kept)} clips of {minutes:.1f} minutes are left; expected at least min_clips "
        f"{limits.min_clips} and min_minutes {limits.min_minutes:g}"
    )


def set_warnings(kept: Sequence[Kept], limits: Limits) -> list[str]:
    """Warnings about the set as a whole."""
    found = []
    time: Counter[str] = Counter()
    for clip in kept:
        time[clip.speaker] += clip.seconds  # type: ignore[assignment]
    if len(time) > 1:
        speaker, most = time.most_common(1)[0]
        share = most / sum(time.values())
        if share > limits.dominant:
            found.append(f"speaker {speaker} has {share:.0%} of the time")
    clips = Counter(clip.speaker for clip in kept)
    if lone := [speaker for speaker, count in clips.items() if count == 1]:
        shown = ", ".join(lone[:5])
        found.append(f"{len(lone)} speakers have one clip: {shown}")
    held = sum(clip.split == "validation" for clip in kept)
    if held < limits.validation:
        found.append(
            f"{held} validation clips: losses of fewer than {limits.validation} are not meaningful"
        )
    repeats = Counter(texts_key for texts_key in (clip.text.strip() for clip in kept))
    if many := [text for text, count in repeats.items() if count > 1]:
        found.append(f"{len(many)} texts occur more than once: {many[0][:40]!r}")
    return found
