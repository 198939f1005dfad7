"""IndexTTS-2.5 in training: continuous prompts, decoded codes, a language for each text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import HalfRateCodecConfig, ModelConfig
from indextts_jax.layers.conformer import frames_heard
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.text.frontend import Script
from indextts_jax.text.v25.frontend import TaggedScript, TaggedSpoken
from indextts_jax.text.v25.languages import language_row, language_tag
from indextts_jax.training.objectives.base import Batch
from indextts_jax.training.versions.interface import Stretched

if TYPE_CHECKING:
    from indextts_jax.training.data.index import Row
    from indextts_jax.training.data.prepared import Prepared

Array = jax.Array
RATIO = 2  # semantic features of a code; `HalfRateCodecConfig` allows nothing else to be published
RECIPES: dict[str, tuple[str, ...]] = {
    "gpt": ("text", "codes", "conditioning", "emotion"),
    "conditioning": ("text", "codes", "style", "semantic"),  # the GPT, with trained conditioning
    "flow": ("codes", "style", "mel", "semantic"),
    "vocoder": ("samples", "mel"),
    "vocoder_flow": ("samples", "mel", "flow_mel"),  # the vocoder, on what the flow makes
}
INPUTS: dict[str, tuple[str, ...]] = {"flow_mel": ("codes", "semantic", "style", "mel")}
NETWORKS: dict[str, tuple[str, ...]] = {
    "semantic": ("semantic_encoder",),
    "codes": ("semantic_encoder", "semantic_codec"),
    "style": ("style_encoder",),
    "conditioning": ("style_encoder", "conditioning"),
    "emotion": ("semantic_encoder", "conditioning"),
    "emotion_prompt": ("semantic_encoder", "conditioning"),
    "flow_mel": (
        "semantic_encoder",
        "semantic_codec",
        "style_encoder",
        "length_regulator",
        "dit",
    ),
}
PROMPT = "semantic"
VOICE = ("style", "semantic")  # the semantic features are for the emotion
LATENTS = 0.0
OBJECTIVES = ("gpt", "flow", "vocoder", "style")
TAGGED = True
MAKES_TOKENIZER = False
POSITIONS = ("gpt.text_positions.*", "gpt.code_positions.*", "gpt.language_embedding.*")


def codes_of(features: int) -> int:
    """A code for each pair of features; a last odd one has a code of its own."""
    return -(-features // RATIO)


def features_of(codes: int) -> int:
    """Two features for each code."""
    return RATIO * codes


def text_tokens(tokenizer: Any, script: Script, config: ModelConfig) -> tuple[int, ...]:
    """The ids of tag and text that the GPT's prefix keeps: one tag for the whole clip.

    It leaves out the ids of start and stop, one of which is that of a `!` by itself.
    """
    assert isinstance(script, TaggedScript)
    words = [segment.words for segment in script.segments if isinstance(segment, TaggedSpoken)]
    text = words[0] if len(words) == 1 else " ".join(map(str.strip, words))
    ids = tokenizer.encode(language_tag(script.language) + text)
    special = {config.gpt.start_text, config.gpt.stop_text}
    return tuple(number for number in ids if number not in special)


def language(script: Script) -> str:
    """The code of the language."""
    assert isinstance(script, TaggedScript)
    return script.language


def clip_latents(
    model: Model, semantic: Array | None, counts: Array | None, style: Array | None
) -> Array:
    """The projected style vectors."""
    assert style is not None
    return stages.style_latents(model, style)


def prompt_condition(model: Model, prompts: np.ndarray) -> Array:
    """The semantic features as they are."""
    return jnp.asarray(prompts, jnp.float32)


def coded_condition(
    model: Model, codes: np.ndarray, latents: np.ndarray | None, counts: np.ndarray
) -> Stretched:
    """The decoded features."""
    decoded = stages.decode_codes(model, codes, counts)
    return Stretched(decoded, jnp.asarray(_ratio(model.config) * counts))


def _ratio(config: ModelConfig) -> int:
    assert isinstance(config.semantic_codec, HalfRateCodecConfig)
    return config.semantic_codec.features_per_code


def text_arrays(rows: Sequence[Row]) -> Batch:
    """The rows of the table of languages."""
    return {"languages": np.array([language_row(str(row.language)) for row in rows], np.int32)}


def voice_arrays(
    data: Prepared,
    prompts: Sequence[Row],
    semantic: Sequence[np.ndarray],
    stacked: Callable[[Sequence[np.ndarray]], np.ndarray],
) -> Batch:
    """The style vectors of the prompts: of a whole clip, as it holds no words."""
    return {"prompt_style": np.stack([data.read(row, "style") for row in prompts])}


def voice_latents(conditioning: Any, batch: Batch) -> Array:
    """The projected style vectors."""
    latents: Array = conditioning.style_latents(batch["prompt_style"])
    return latents


def voice_frames(config: ModelConfig) -> int:
    """As far as the emotion's conformer hears."""
    return frames_heard(config.conditioning.emotion_encoder)


def empty_prompts(rows: int, codes: int, config: ModelConfig) -> Batch:
    """Semantic features of prompts, and their numbers."""
    size = (rows, _ratio(config) * codes, config.semantic_codec.width)
    return {
        "prompt_semantic": np.zeros(size, np.float16),
        "prompt_counts": np.zeros(rows, np.int32),
    }


def put_prompt(batch: Batch, number: int, data: Prepared, prompt: Row, codes: slice) -> None:
    """The features of the codes: the last code may have only one."""
    found = data.read(prompt, "semantic")[features_of(codes.start) : features_of(codes.stop)]
    batch["prompt_semantic"][number, : len(found)] = found
    batch["prompt_counts"][number] = len(found)


def flow_rows(codec: Any, regulator: Any, batch: Batch) -> tuple[Stretched, Stretched]:
    """The features of prompts as they are; targets as the codec decodes them."""
    prompt = batch["prompt_semantic"].astype(jnp.float32)
    target = codec.decode(batch["codes"], batch["code_counts"])
    return (
        Stretched(prompt, batch["prompt_counts"]),
        Stretched(target, codec.ratio * batch["code_counts"]),
    )
