"""IndexTTS-2.5: a style row, continuous prompts, a codec that decodes, a language for each text."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float, Int

from indextts_jax.config import HalfRateCodecConfig
from indextts_jax.models.gpt import Heads
from indextts_jax.models.length_regulator import stretched_length
from indextts_jax.models.v25.half_rate_codec import reach
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.interface import (
    CodeRows,
    Conditions,
    GrowingRows,
    PromptFeatures,
)
from indextts_jax.text.frontend import Spoken, TextSettings
from indextts_jax.text.v25.frontend import MultilingualFrontend, TaggedSpoken
from indextts_jax.text.v25.languages import AUTO
from indextts_jax.text.v25.tokenizer import RanksTokenizer

LANGUAGE = 0  # of any text, to compile with: a row of the table
ROWS_PER_CODE = 2
# Codes ahead that matter for the decoder's rows (docs/streaming.md says how they were found).
AUDIBLE_AHEAD = 16


def tokenizer(data: bytes) -> RanksTokenizer:
    """The byte-level BPE of the file of ranks."""
    return RanksTokenizer(data)


def frontend(
    tokenizer: RanksTokenizer, settings: TextSettings, language: str | None
) -> MultilingualFrontend:
    """The front end of a language; without one, the language is found in the text.

    Raises:
        InputError: for an unknown language.
    """
    return MultilingualFrontend(tokenizer, settings, AUTO if language is None else language)


def language_of(spoken: Spoken) -> int:
    """The row of the language table of a segment."""
    assert isinstance(spoken, TaggedSpoken)
    return spoken.language


def speaker_latents(
    model: Model,
    semantic: Float[Array, "1 t d"],
    length: Int[Array, " 1"],
    style: Float[Array, "1 s"],
) -> Float[Array, "1 l w"]:
    """One row: the projected style vector."""
    return stages.style_latents(model, style)


def prompt_features(
    model: Model, semantic: Float[Array, "1 t d"], length: Int[Array, " 1"]
) -> PromptFeatures:
    """The semantic features as they are: nothing is quantised."""
    return PromptFeatures(None, semantic)


def code_rows(
    model: Model,
    conditions: Conditions,
    codes: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    heads: Heads = (),
) -> CodeRows:
    """The decoded features; of the GPT nothing but, with `heads`, the attention of a pass."""
    codec = model.config.semantic_codec
    assert isinstance(codec, HalfRateCodecConfig)
    sequence = stages.decode_codes(model, codes, lengths)
    attention = None
    if heads:
        attention = stages.code_attention(
            model, *conditions.common, codes, conditions.languages, heads=heads
        )
    return CodeRows(codec.features_per_code * lengths, None, sequence, attention)


def look_ahead(model: Model, *, exact: bool) -> int:
    """The reach of the codec's decoder: 40 codes in the published model, of which few matter."""
    codec = model.config.semantic_codec
    assert isinstance(codec, HalfRateCodecConfig)
    whole = reach(codec)
    return whole if exact else min(whole, AUDIBLE_AHEAD)


def grow_rows(
    model: Model, growing: Sequence[GrowingRows], codes: Sequence[Int[np.ndarray, " n"]]
) -> None:
    """Decodes all codes so far again: the last rows change with those that follow."""
    for one, now in zip(growing, codes, strict=True):
        if len(now) == len(one.codes):
            continue
        padded = pad(np.asarray(now, np.int32)[None], bucket(len(now), model.buckets.codes))
        features = stages.decode_codes(model, padded, np.asarray([len(now)], np.int32))
        one.codes, one.rows = now, np.asarray(features)[0, : ROWS_PER_CODE * len(now)]


def frames(
    codes: int, frames_per_code: float, *, speed: float = 1.0, factor: float | None = None
) -> int:
    """The reference's number in double precision; a speed is the factor 1 / speed."""
    return stretched_length(codes, frames_per_code, 1 / speed if factor is None else factor)
