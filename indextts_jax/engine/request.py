"""Requests: what is to be spoken, and how."""

import dataclasses
from collections.abc import Sequence

from jaxtyping import Array, Float

from indextts_jax.engine.settings import Settings
from indextts_jax.utils.hashing import FileHash
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """One of many requests: what `IndexTTS.speak` takes but the settings, which all share."""

    text: str
    voice: Voice
    seed: int = 0
    emotion: Float[Array, "1 d"] | None = None
    emotion_alpha: float | None = None
    emotion_weights: Sequence[float] | None = None
    emotion_text: str | None = None
    emotion_random: bool = False
    emotion_bias: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for."""

    text: str
    speaker: FileHash
    seed: int
    settings: Settings
    speaker_start: float = 0.0  # the second of the recording from which on it was heard
    emotion: FileHash | None = None
    emotion_start: float = 0.0
    emotion_alpha: float | None = None
    emotion_weights: tuple[float, ...] | None = None  # given, or read from words
    emotion_random: bool = False
    emotion_bias: bool = False
