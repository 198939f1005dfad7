"""Clips that are nothing but lengths: what decides the shapes of a batch of training."""

import dataclasses
import math
from typing import Any

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.training.data.index import FEATURES
from indextts_jax.training.data.prepared import Row

TOKENS_PER_SECOND = 6.0  # text tokens of fast English speech with the published tokenizer


def clip(number: int, seconds: float, config: ModelConfig, tokens_per_second: float) -> Row:
    """A clip of a length, all of one speaker."""
    mel = config.mel
    return Row(
        id=f"clip{number}",
        audio="",
        text="",
        speaker="one",
        seconds=seconds,
        split="train",
        tokens=min(math.ceil(seconds * tokens_per_second), config.gpt.max_text_tokens),
        codes=min(int(seconds * config.codes_per_second), config.gpt.max_codes),
        frames=int(seconds * mel.sample_rate / mel.hop),
    )


@dataclasses.dataclass(frozen=True)
class Clips:
    """In the place of prepared data: every feature is zeros, none takes memory."""

    rows: tuple[Row, ...]
    config: ModelConfig

    @classmethod
    def of(
        cls,
        count: int,
        seconds: float,
        config: ModelConfig,
        tokens_per_second: float = TOKENS_PER_SECOND,
    ) -> "Clips":
        """That many clips of one length."""
        made = (clip(n, seconds, config, tokens_per_second) for n in range(count))
        return cls(tuple(made), config)

    def has(self, row: Row, feature: str) -> bool:
        """Whether a row has a feature: emotions have no recordings of their own."""
        return feature != "emotion_prompt"

    def prompts(self, row: Row, rng: np.random.Generator) -> Row:
        """Another clip of the speaker."""
        return self.rows[(self.rows.index(row) + 1) % len(self.rows)]

    def read(self, row: Row, feature: str) -> Any:
        """Zeros of a feature's shape and dtype."""
        cfg = self.config
        shapes: dict[str, tuple[int, ...]] = {
            "text": (row.tokens,),
            "codes": (row.codes,),
            "style": (cfg.dit.style,),
            "conditioning": (cfg.gpt.conditioning_latents, cfg.gpt.width),
            "emotion": (cfg.gpt.width,),
            "latents": (row.codes, cfg.gpt.width),
            "mel": (row.frames, cfg.mel.mels),
            "flow_mel": (row.frames, cfg.mel.mels),
            "semantic": (row.codes, cfg.semantic_encoder.width),
            "samples": (row.frames * cfg.mel.hop,),
        }
        dtype, _ = FEATURES["mel" if feature == "flow_mel" else feature]
        return np.broadcast_to(np.zeros((), dtype), shapes[feature])
