"""The result of speaking: samples, and how they were made."""

import base64
import dataclasses
import hashlib
import html
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.audio.output import encode, write_audio
from indextts_jax.engine.faults import Fault, format_faults
from indextts_jax.errors import InputError
from indextts_jax.timings.files import write_timings
from indextts_jax.timings.words import Word

PLAYED = 10_000_000  # bytes of the largest WAV file embedded in a notebook; nearly four minutes


def hash_codes(codes: Int[np.ndarray, " n"]) -> str:
    """SHA-256 of codes, the same on every machine."""
    return hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Segment:
    """One run of text tokens, synthesised in one pass."""

    text_tokens: int
    codes: int
    frames: int
    truncated: bool  # the limit was reached before a stop code: the end may be missing
    tries: int = 1  # attempts, each with its own seed
    faults: tuple[Fault, ...] = ()  # of the last attempt
    repeat: int = 0  # codes in the longest run of one repeated pattern
    codes_hash: str = ""  # see `hash_codes`


@dataclasses.dataclass(frozen=True)
class Speech:
    """A mono waveform in [-1, 1], with its segments and timings."""

    samples: Float32[np.ndarray, " n"]
    sample_rate: int  # Hz
    segments: tuple[Segment, ...]
    seconds: dict[str, float]  # of compute, by stage
    text: str = ""
    words: tuple[Word, ...] | None = None  # all words of the text; None if not requested

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return len(self.samples) / self.sample_rate

    @property
    def real_time_factor(self) -> float:
        """Seconds of compute for a second of audio; below 1 is faster than real time."""
        return sum(self.seconds.values()) / self.duration

    def save(self, path: str | Path, subtype: str | None = None, comment: str = "") -> None:
        """Writes a WAV, FLAC, OGG or MP3 file by its ending, atomically.

        `subtype` is the format of the samples (PCM_16, PCM_24, FLOAT; see `audio.output`).
        """
        write_audio(path, self.samples, self.sample_rate, subtype, comment)

    def save_timings(self, path: str | Path, cue_words: int = 0) -> None:
        """Writes the times of words as subtitles or as data, by the ending; see `timings.files`.

        With `cue_words` a cue has at most this many words, each with its own time.

        Raises:
            InputError: without words, or for an unknown ending.
            Failure: if the file cannot be written.
        """
        if self.words is None:
            raise InputError("this speech has no times of words: speak with timings=True")
        write_timings(path, self.text, self.words, self.duration, cue_words)

    def player(self) -> str:
        """An HTML player with the audio embedded and the faults listed below.

        Audio above `PLAYED` is not embedded; a note says so.
        """
        caption = (
            f"{self.duration:.2f} s, {len(self.segments)} segment{'s' * (len(self.segments) > 1)}"
        )
        for number, segment in enumerate(self.segments, 1):
            if segment.faults:
                caption += f"<br>segment {number}: {html.escape(format_faults(segment.faults))}"
        if not np.isfinite(self.samples).all():
            return f"<div>no sound: the samples are not finite ({caption})</div>"
        if 2 * len(self.samples) > PLAYED:
            return f"<div>too long to be played here: save it with .save() ({caption})</div>"
        data = encode(self.samples, self.sample_rate, "WAV", "PCM_16")
        source = f"data:audio/wav;base64,{base64.b64encode(data).decode('ascii')}"
        return f'<div><audio controls src="{source}"></audio><br>{caption}</div>'

    def _repr_html_(self) -> str:
        """The player, as notebooks show the value of a cell."""
        return self.player()
