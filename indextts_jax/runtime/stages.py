"""The compiled stages of a model as functions of arrays."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.audio.features import centred, filter_bank, semantic_features
from indextts_jax.models.dit import DiT
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.sampling.flow import continue_mel, noise


def semantic(
    model: Model, signal: Float32[np.ndarray, " n"]
) -> tuple[Float[Array, "1 t d"], Int[Array, " 1"]]:
    """Semantic features of a 16 kHz signal, padded to a bucket, and their number."""
    features, mask = semantic_features(signal)
    size = bucket(len(features), model.config.buckets.features)
    padded = model.run(
        "semantic_encoder",
        "__call__",
        jnp.asarray(pad(features[None], size)),
        jnp.asarray(pad(mask[None], size).astype(bool)),
    )
    return padded, jnp.asarray([len(features)], jnp.int32)


def analyse_style(model: Model, signal: Float32[np.ndarray, " n"]) -> Float[Array, "1 s"]:
    """The style vector of a 16 kHz signal."""
    banks = centred(filter_bank(signal))
    padded = pad(banks[None], bucket(len(banks), model.config.buckets.frames))
    length = jnp.asarray([len(banks)], jnp.int32)
    return model.run("style_encoder", "__call__", jnp.asarray(padded), length)


def regulate(
    model: Model, sequence: Float[Array, "1 s d"], length: Int[Array, " 1"], frames: int
) -> Float[Array, "1 f c"]:
    """A sequence at code rate as the condition of so many frames, padded to a bucket."""
    size = bucket(frames, model.config.buckets.frames)
    target = jnp.asarray([frames], jnp.int32)
    return model.run("length_regulator", "__call__", sequence, length, target, size=size)


@dataclasses.dataclass(frozen=True)
class Codes:
    """Finished codes of one segment, without the stop code."""

    ids: Int[np.ndarray, "1 s"]  # padded to a bucket
    count: int

    @classmethod
    def padded(cls, model: Model, ids: Int[np.ndarray, " n"]) -> "Codes":
        """Codes with zeros up to a bucket."""
        size = bucket(len(ids), model.config.buckets.codes)
        return cls(pad(np.asarray(ids, np.int32)[None], size), len(ids))

    @property
    def length(self) -> Int[Array, " 1"]:
        """The number of codes, as the stages take it."""
        return jnp.asarray([self.count], jnp.int32)


def text_ladder(model: Model) -> list[int]:
    """Padded numbers of text tokens, as far as the model has positions for them."""
    holds = model.config.gpt.max_text_tokens
    return sorted({min(rung, holds) for rung in model.config.buckets.text})


def text_batch(model: Model, tokens: Sequence[int]) -> tuple[Int[Array, "1 t"], Int[Array, " 1"]]:
    """Text tokens padded to a bucket, and their number."""
    padded = pad(np.asarray([tokens], np.int32), bucket(len(tokens), text_ladder(model)))
    return jnp.asarray(padded), jnp.asarray([len(tokens)], jnp.int32)


def speech_latents(
    model: Model,
    latents: Float[Array, "1 l d"],
    emotion: Float[Array, "1 d"],
    tokens: Sequence[int],
    codes: Codes,
) -> Float[Array, "1 s d"]:
    """The GPT's latents of finished codes."""
    text = text_batch(model, tokens)
    return model.run("gpt", "latents", latents, emotion, *text, codes.ids, codes.length)


def speech_sequence(
    model: Model, codes: Codes, latents: Float[Array, "1 s d"]
) -> Float[Array, "1 s e"]:
    """What the length regulator stretches: the codes' embeddings and the projected latents."""
    return model.run("semantic_codec", "vq2emb", codes.ids) + model.run(
        "length_regulator", "project", latents
    )


def guided_mel(
    model: Model, *arrays: ArrayLike, steps: int, guidance: float
) -> Float[Array, "b t m"]:
    """`continue_mel` of the arrays that it takes; another guidance above 0 compiles nothing."""
    # Prompts as long as the noise: then the large program does not depend on their own padding.
    noise, prompt_mel, prompt_condition, *rest = map(jnp.asarray, arrays)
    arrays = (noise, *(_widened(a, noise.shape[1]) for a in (prompt_mel, prompt_condition)), *rest)
    if guidance > 0:
        strength = jnp.asarray(guidance, jnp.float32)
        return model.run("dit", _guided_mel, strength, *arrays, steps=steps)
    return model.run("dit", continue_mel, *arrays, steps=steps, guidance=0.0)


def _widened(array: Float[Array, "b p c"], size: int) -> Float[Array, "b f c"]:
    """The array with zeros up to so many frames, or as it is if it has more."""
    return jnp.pad(array, ((0, 0), (0, max(0, size - array.shape[1])), (0, 0)))


def _guided_mel(dit: DiT, guidance: Float[Array, ""], *arrays: Any, steps: int) -> jax.Array:
    """`continue_mel` with the guidance as an array: another value compiles nothing."""
    return continue_mel(dit, *arrays, steps=steps, guidance=guidance)


@functools.partial(jax.jit, static_argnums=(1, 2))
def flow_noise(key: Key[Array, ""], frames: int, mels: int) -> Float[Array, "1 f m"]:
    """The flow's noise of one segment; a frame's noise does not depend on the padded size."""
    return noise(key[None], frames, mels)
