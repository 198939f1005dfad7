"""A speaker without a model, for tests of data sets: a short tone for each row.

A text that begins with one of these words does something else:

    exit ...    ends the process
    raise ...   fails
    slow ...    takes long
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indextts_jax.audio.output import encode
from indextts_jax.jobs.plan import About, Recording
from indextts_jax.jobs.results import Outcome
from indextts_jax.jobs.rows import FAILED, FAULTY, OK, Row

NAME = "fake_speaker:FakeSpeaker"
RATE = 8000
ABOUT = About(checkpoint="nowhere", fingerprint="0" * 64, settings={"steps": 1})


class FakeSpeaker:
    """Speaks a row in `delay` seconds."""

    def __init__(self, plan: Any, *, delay: float = 0.0, batch: int = 1, device: str = ""):
        self.delay = delay

    def speak(self, rows: Sequence[Row]) -> Iterator[tuple[int, Outcome]]:
        for index, row in enumerate(rows):
            yield index, self._outcome(row)

    def alone(self, row: Row, key: str, folder: Path) -> Outcome:
        return self._outcome(row)

    def _outcome(self, row: Row) -> Outcome:
        word = row.text.partition(" ")[0]
        time.sleep(30 if word == "slow" else self.delay)
        if word == "exit":
            os._exit(9)
        if word == "raise":
            return Outcome(status=FAILED, reasons=("ValueError: it cannot be spoken",))
        count = 80 + 8 * len(row.text)
        tone = 0.1 * np.sin(np.arange(count) * (1 + row.number % 7) / 9)
        return Outcome(
            status=FAULTY if word == "faulty" else OK,
            reasons=("it is long",) if word == "faulty" else (),
            faults=("long",) if word == "faulty" else (),
            flac=encode(tone.astype(np.float32), RATE, "FLAC", "PCM_16"),
            sample_rate=RATE,
            samples=count,
            codes=len(row.text),
            codes_hash=f"{len(row.text):032}",
            tries=1,
            compute=self.delay,
        )


def find(kind: str, base: str, name: str) -> Recording:
    """Every recording exists, but those that are called `nobody`."""
    if name == "nobody":
        return Recording(path=name, digest="", problem="nobody does not exist")
    return Recording(path=name, digest=f"digest of {name}")
