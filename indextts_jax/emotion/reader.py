"""Emotion from text: eight weights from a description, or from the text that is spoken.

reader = EmotionReader.load("indextts2")
reader.read("I can hardly believe it!").weights
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.config import EMOTIONS, RunConfig
from indextts_jax.emotion.prompt import PromptTokenizer, prompt_of
from indextts_jax.emotion.reply import ReplyError, read_reply
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model, load_model

COMPONENT = "text_emotion"


@dataclasses.dataclass(frozen=True)
class Reading:
    """The emotion that the model found in a text."""

    weights: tuple[float, ...]  # in the order of `EMOTIONS`; their sum may be above one
    reply: str  # raw reply of the model
    nothing: bool  # no emotion was found: calm was set to one

    def __str__(self) -> str:
        """The weights that are not zero, by name."""
        named = zip(EMOTIONS, self.weights, strict=True)
        return ", ".join(f"{name} {weight:g}" for name, weight in named if weight)


@dataclasses.dataclass(frozen=True)
class EmotionReader:
    """The text-to-emotion model with its tokenizer; calls share no state."""

    model: Model
    tokenizer: PromptTokenizer

    @classmethod
    def load(cls, path: str | Path, dtype: str | None = None) -> "EmotionReader":
        """The model of an imported checkpoint.

        Raises:
            InputError: if the checkpoint has none; the message says how to add it.
        """
        saved = open_checkpoint(path)
        if COMPONENT not in saved.components:
            raise InputError(
                f"{path} has no {COMPONENT}, which reads emotion from text; add it: python -m "
                f"indextts_jax.import --components {COMPONENT} --src DIR --dst {path} (DIR: the "
                "published files, or their directory qwen0.6bemo4-merge)"
            )
        model = load_model(path, RunConfig(dtype=dtype), components=(COMPONENT,))
        return cls(model, PromptTokenizer(saved.emotion_tokenizer))

    def read(self, text: str) -> Reading:
        """The emotion of a text, or of a description of an emotion.

        Raises:
            InputError: if the text is blank, or too long for the model.
            ReplyError: if the model's reply does not end, or cannot be read.

        Source: `QwenEmotion.inference` of the PyTorch release.
        """
        if not text.strip():
            raise InputError("the emotion text is empty: give a text to read the emotion from")
        given = self.reply(self.tokenizer.ids(prompt_of(text)))
        words = self.tokenizer.text(given)
        values, nothing = read_reply(words, text)
        return Reading(values, words, nothing)

    def reply(self, prompt: list[int]) -> list[int]:
        """The tokens of the reply, without the stop token.

        Raises:
            InputError: if the prompt is too long for the model.
            ReplyError: if the reply does not end.
        """
        config = self._config
        most = config.positions - config.reply_tokens
        if len(prompt) > most:
            raise InputError(
                f"the emotion text has {len(prompt):,} tokens with its prompt; the model reads at "
                f"most {most:,}"
            )
        size = min(bucket(len(prompt), config.buckets), most)
        padded: Int[np.ndarray, "1 t"] = pad(np.asarray([prompt], np.int32), size)
        length = jnp.asarray(len(prompt), jnp.int32)
        with jax.default_device(self.model.device):
            result = stages.emotion_reply(self.model, jnp.asarray(padded[0]), length)
        tokens = np.asarray(result.tokens)[: int(result.length)].tolist()
        if not bool(result.ended):
            raise ReplyError(
                f"the emotion model's reply did not end after {config.reply_tokens} tokens: "
                f"{self.tokenizer.text(tokens)[:120]!r}"
            )
        return tokens

    @property
    def _config(self) -> Any:
        return self.model.config.text_emotion
