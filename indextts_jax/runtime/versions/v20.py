"""IndexTTS-2: latents of a second pass, quantised prompts, a SentencePiece tokenizer."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float, Int

from indextts_jax.errors import InputError
from indextts_jax.models.gpt import Heads
from indextts_jax.models.length_regulator import target_length
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions import latent_rows
from indextts_jax.runtime.versions.interface import (
    CodeRows,
    Conditions,
    GrowingRows,
    PromptFeatures,
)
from indextts_jax.text.frontend import Spoken, TextFrontend, TextSettings
from indextts_jax.text.tokenizer import Tokenizer

LANGUAGE = None  # of any text: this version has no table of languages
ROWS_PER_CODE = 1


def tokenizer(data: bytes) -> Tokenizer:
    """The SentencePiece model."""
    return Tokenizer(data)


def frontend(tokenizer: Tokenizer, settings: TextSettings, language: str | None) -> TextFrontend:
    """The front end, which finds the language of a text itself.

    Raises:
        InputError: for a language.
    """
    if language not in (None, "auto"):
        raise InputError(
            f"language {language!r:.40}: this checkpoint is IndexTTS-2, which reads the language "
            "off the text; only IndexTTS-2.5 takes one",
            "language",
        )
    return TextFrontend(tokenizer, settings)


def language_of(spoken: Spoken) -> None:
    """No row: this version has no table of languages."""


def speaker_latents(
    model: Model,
    semantic: Float[Array, "1 t d"],
    length: Int[Array, " 1"],
    style: Float[Array, "1 s"],
) -> Float[Array, "1 l w"]:
    """The latents of conformer and perceiver."""
    return stages.speaker_latents(model, semantic, length)


def prompt_features(
    model: Model, semantic: Float[Array, "1 t d"], length: Int[Array, " 1"]
) -> PromptFeatures:
    """The features of the prompt's codes."""
    return PromptFeatures(*stages.quantize(model, semantic, length))


def code_rows(
    model: Model,
    conditions: Conditions,
    codes: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    heads: Heads = (),
) -> CodeRows:
    """The features of the codes plus the projected latents of the second pass."""
    attention = None
    if heads:
        latents, attention = stages.aligned_latents(
            model, *conditions.common, codes, lengths, heads=heads
        )
    else:
        latents = stages.code_latents(model, *conditions.common, codes, lengths)
    return CodeRows(lengths, latents, stages.code_sequence(model, codes, latents), attention)


def look_ahead(model: Model, *, exact: bool) -> int:
    """None: the second pass is causal."""
    return 0


def grow_rows(
    model: Model, growing: Sequence[GrowingRows], codes: Sequence[Int[np.ndarray, " n"]]
) -> None:
    """Continues the second pass over the new codes."""
    latent_rows.grow(model, growing, codes)


def frames(
    codes: int, frames_per_code: float, *, speed: float = 1.0, factor: float | None = None
) -> int:
    """The reference's number in float32, divided by the speed or times the factor."""
    own = target_length(codes, frames_per_code)
    return math.floor(own / speed if factor is None else own * factor)
