"""Small sets of recordings that are like speech as far as the checks of `prepare` look."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from indextts_jax.training.data.index import Row

RATE = 22050
WORDS = [  # of letters that the tokenizer of the tiny set knows
    *("the", "north", "brown", "cat", "runs", "over", "a", "small", "dog", "while", "seven"),
    *("grey", "owls", "watch", "from", "old", "oaks"),
]
ENDS = "abcdefghiklmno"


def speech(seconds: float, seed: int = 0, rate: int = RATE, level: float = 0.1) -> np.ndarray:
    """Noise in syllables, four a second, with the soft parts 40 dB below."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    envelope = 0.01 + np.sin(2 * np.pi * 2 * time + 0.8) ** 4
    return (level * envelope * rng.normal(size=len(time)) / 2).astype(np.float32)


def sentence(number: int) -> str:
    """One of many sentences of 20 to 24 letters."""
    return (
        " ".join(WORDS[(number * k + k * k) % len(WORDS)] for k in range(1, 6))
        + f" {ENDS[number % len(ENDS)]}."
    )


def write_set(folder: Path, count: int, seconds: float = 2.1, speakers: int = 2) -> Path:
    """Recordings and a manifest of them; each clip is a little longer than the one before."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        name = f"clip{number:02d}.wav"
        soundfile.write(folder / name, speech(seconds + 0.01 * number, number), RATE)
        speaker = f"s{number % speakers}"
        rows.append({"audio": name, "text": sentence(number), "speaker": speaker})
    path = folder / "clips.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def row(number: int = 0, **more: Any) -> Row:
    """A row of prepared data."""
    given: dict[str, Any] = {
        "id": f"r{number}",
        "audio": f"r{number}.wav",
        "text": f"text {number}",
        "speaker": "anna",
        "seconds": 3.0,
        "split": "train",
    }
    return Row(**{**given, **more})
