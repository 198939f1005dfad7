"""IndexTTS-2 in training: prompts are quantised, and targets get the GPT's latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import ConditioningConfig, ModelConfig
from indextts_jax.layers.conformer import frames_heard
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.text.frontend import Script
from indextts_jax.training.objectives.base import Batch
from indextts_jax.training.versions.interface import Stretched

if TYPE_CHECKING:
    from indextts_jax.training.data.index import Row
    from indextts_jax.training.data.prepared import Prepared

Array = jax.Array
RECIPES: dict[str, tuple[str, ...]] = {
    "gpt": ("text", "codes", "conditioning", "emotion"),
    "conditioning": ("text", "codes", "semantic"),  # the GPT, with trained conditioning
    # From scratch with guided attention: needs the `ctc_head` of a `tokens` run.
    "guided": ("text", "codes", "semantic", "alignment"),
    "flow": ("text", "codes", "style", "mel", "latents"),
    "flow_codes": ("codes", "style", "mel"),  # the flow before a GPT exists: without latents
    "vocoder": ("samples", "mel"),
    "vocoder_flow": ("samples", "mel", "flow_mel"),  # the vocoder, on what the flow makes
    "tokens": ("text", "samples", "encoder_input", "encoder_mask", "mel"),
    "style": ("samples", "banks"),
}
INPUTS: dict[str, tuple[str, ...]] = {
    "alignment": ("codes",),
    "latents": ("text", "codes", "conditioning", "emotion"),
    "flow_mel": ("text", "codes", "conditioning", "emotion", "style", "mel", "latents"),
}
NETWORKS: dict[str, tuple[str, ...]] = {
    "semantic": ("semantic_encoder",),
    "codes": ("semantic_encoder", "semantic_codec"),
    "style": ("style_encoder",),
    "conditioning": ("semantic_encoder", "conditioning"),
    "emotion": ("semantic_encoder", "conditioning"),
    "emotion_prompt": ("semantic_encoder", "conditioning"),
    "latents": ("semantic_encoder", "semantic_codec", "conditioning", "gpt"),
    "alignment": ("semantic_encoder", "semantic_codec", "ctc_head"),
    "flow_mel": (
        "semantic_encoder",
        "semantic_codec",
        "style_encoder",
        "conditioning",
        "gpt",
        "length_regulator",
        "dit",
    ),
}
PROMPT = "codes"
VOICE = ("semantic",)
LATENTS = 0.9
OBJECTIVES = ("gpt", "flow", "vocoder", "tokens", "style")
TAGGED = False
MAKES_TOKENIZER = True
POSITIONS = ("gpt.text_positions.*", "gpt.code_positions.*", "gpt.speed_embedding.*")


def codes_of(features: int) -> int:
    """A code for each feature."""
    return features


def features_of(codes: int) -> int:
    """A feature for each code."""
    return codes


def text_tokens(tokenizer: Any, script: Script, config: ModelConfig) -> tuple[int, ...]:
    """The ids of the text's pieces."""
    return tuple(number for segment in script.segments for number in segment.ids)


def language(script: Script) -> str:
    """None: this version reads texts without a language."""
    return ""


def clip_latents(
    model: Model, semantic: Array | None, counts: Array | None, style: Array | None
) -> Array:
    """The latents of conformer and perceiver."""
    assert semantic is not None
    assert counts is not None
    return stages.speaker_latents(model, semantic, counts)


def prompt_condition(model: Model, prompts: np.ndarray) -> Array:
    """The features of the prompts' codes."""
    return stages.embed_codes(model, prompts.astype(np.int32))


def coded_condition(
    model: Model, codes: np.ndarray, latents: np.ndarray | None, counts: np.ndarray
) -> Stretched:
    """The features of the codes plus the projected latents."""
    assert latents is not None
    return Stretched(stages.code_sequence(model, codes, latents), jnp.asarray(counts))


def text_arrays(rows: Sequence[Row]) -> Batch:
    """None."""
    return {}


def voice_arrays(
    data: Prepared,
    prompts: Sequence[Row],
    semantic: Sequence[np.ndarray],
    stacked: Callable[[Sequence[np.ndarray]], np.ndarray],
) -> Batch:
    """The semantic features of the prompts."""
    lengths = np.array([len(array) for array in semantic], np.int32)
    return {"prompt": stacked(semantic), "prompt_lengths": lengths}


def voice_latents(conditioning: Any, batch: Batch) -> Array:
    """The latents of conformer and perceiver."""
    prompts = batch["prompt"].astype(jnp.float32)
    latents: Array = conditioning.speaker_latents(prompts, batch["prompt_lengths"])
    return latents


def voice_frames(config: ModelConfig) -> int:
    """As far as one of the two conformers hears."""
    cfg = config.conditioning
    assert isinstance(cfg, ConditioningConfig)
    return max(frames_heard(cfg.speaker_encoder), frames_heard(cfg.emotion_encoder))


def empty_prompts(rows: int, codes: int, config: ModelConfig) -> Batch:
    """Codes of prompts, and their numbers."""
    return {
        "prompt_codes": np.zeros((rows, codes), np.int32),
        "prompt_code_counts": np.zeros(rows, np.int32),
    }


def put_prompt(batch: Batch, number: int, data: Prepared, prompt: Row, codes: slice) -> None:
    """The codes themselves."""
    found = data.read(prompt, "codes")[codes]
    batch["prompt_codes"][number, : len(found)] = found
    batch["prompt_code_counts"][number] = len(found)


def flow_rows(codec: Any, regulator: Any, batch: Batch) -> tuple[Stretched, Stretched]:
    """The features of codes; those of targets with the projected latents, where there are some."""
    prompt = codec.vq2emb(batch["prompt_codes"])
    target = codec.vq2emb(batch["codes"])
    if "latents" in batch:
        added = regulator.project(batch["latents"])
        target = target + jnp.where(batch["with_latents"][:, None, None], added, 0)
    return (
        Stretched(prompt, batch["prompt_code_counts"]),
        Stretched(target, batch["code_counts"]),
    )
