"""Texts of every kind, and segments of them with made-up sound and attention."""

import functools
import json

import numpy as np
import support
import text25

from indextts_jax.text.frontend import Script, TextFrontend
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.text.v25.frontend import MultilingualFrontend
from indextts_jax.timings.words import Sound

RATE, HOP = 22050, 256
FRONTEND = TextFrontend(Tokenizer(support.DATA / "text" / "bpe_small.model"))


@functools.cache
def corpus() -> tuple[str, ...]:
    """The texts of the recorded cases, without those that the front end refuses."""
    lines = (support.DATA / "text" / "cases.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] or "" for line in lines]
    return tuple(text for text in dict.fromkeys(texts) if text.strip() and "[" not in text)


def script(text: str) -> Script:
    """The script of a text in version 2."""
    return FRONTEND.prepare(text)


def multilingual(text: str, language: str = "en") -> Script:
    """The script of a text in version 2.5."""
    return MultilingualFrontend(text25.small(), language=language).prepare(text)


def sound(codes: int, seed: int, *, frames: int | None = None) -> Sound:
    """Noise with pauses, as long as these codes."""
    rng = np.random.default_rng(seed)
    frames = frames or max(1, int(1.72 * codes))
    loud = np.repeat(rng.random(frames) < 0.8, HOP)
    wave = (rng.normal(size=frames * HOP) * loud * 0.1).astype(np.float32)
    return Sound(wave, RATE, np.arange(frames) * codes // frames, codes, 1, HOP)


def attention(codes: int, pieces: int, seed: int) -> np.ndarray:
    """A diagonal with noise."""
    rng = np.random.default_rng(seed)
    place = np.linspace(0, pieces, codes, endpoint=False)[:, None]
    found = np.exp(-0.5 * (place - np.arange(pieces)) ** 2) + 0.05 * rng.random((codes, pieces))
    return found / found.sum(axis=1, keepdims=True)
