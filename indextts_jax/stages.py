"""The stages of one segment, from text tokens to samples: one compiled program each."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.buckets import bucket, flow_size, pad
from indextts_jax.clock import Clock
from indextts_jax.errors import InputError
from indextts_jax.model import Model
from indextts_jax.models.dit import DiT
from indextts_jax.prompts import Voice, regulate
from indextts_jax.sampling.flow import continue_mel, noise
from indextts_jax.sampling.generate import Generated, generate
from indextts_jax.settings import Settings, code_limit


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


def speech_mel(
    model: Model,
    sequence: Float[Array, "1 s d"],
    codes: Codes,
    voice: Voice,
    noise: Float[ArrayLike, "1 g m"],
    frames: int,
    *,
    steps: int,
    guidance: float,
) -> tuple[Float[Array, "1 f m"], Float[Array, "1 f c"]]:
    """The mel of finished codes and its condition, both padded to a bucket.

    `noise` spans prompt and target, padded to a bucket; `frames` is the target's length.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    condition = regulate(model, sequence, codes.length, frames)
    mel = guided_mel(
        model,
        noise,
        voice.mel,
        voice.condition,
        jnp.asarray([voice.frames], jnp.int32),
        condition,
        jnp.asarray([frames], jnp.int32),
        voice.style,
        steps=steps,
        guidance=guidance,
    )
    return mel, condition


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


def speech_codes(
    model: Model,
    tokens: Sequence[int],
    voice: Voice,
    emotion: Float[Array, "1 d"],
    settings: Settings,
    key: Key[Array, ""],
) -> tuple[Int[np.ndarray, " n"], bool]:
    """The codes of one segment, and whether the limit came before a stop code."""
    sampling = settings.sampling_up_to(code_limit(model, settings))
    generated: Generated = model.run(
        "gpt",
        generate,
        voice.latents,
        emotion,
        *text_batch(model, tokens),
        key[None],
        sampling.numbers,
        strategy=sampling.strategy,
    )
    (ids,), (count,), (truncated,) = map(np.asarray, generated)
    return ids[:count], bool(truncated)


def check_seed(seed: int) -> None:
    """Makes sure that a seed has a key of its own.

    Raises:
        InputError: if it has not.
    """
    if not 0 <= seed < 2**32:  # JAX would take another one in silence
        raise InputError(f"the seed must be 0 to {2**32 - 1}, got {seed}")


def segment_keys(seed: int, index: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The random keys of one segment: of its codes, and of the flow's noise.

    Raises:
        InputError: for a seed that has no key of its own.
    """
    check_seed(seed)
    codes, noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), index))
    return codes, noise


def codes_to_wave(
    model: Model,
    tokens: Sequence[int],
    voice: Voice,
    emotion: Float[Array, "1 d"],
    codes: Codes,
    frames: int,
    settings: Settings,
    key: Key[Array, ""],
    clock: Clock,
) -> Float32[np.ndarray, " n"]:
    """The waveform of one segment, from its finished codes; the key draws the flow's noise.

    The samples are not clipped.
    """
    with clock.stage("latents"):
        latents = speech_latents(model, voice.latents, emotion, tokens, codes)
        sequence = jax.block_until_ready(speech_sequence(model, codes, latents))
    with clock.stage("flow"):
        size = flow_size(model.config.buckets, voice.frames + frames, frames)
        noise = flow_noise(key, size, model.config.mel.mels)
        mel, _ = speech_mel(
            model,
            sequence,
            codes,
            voice,
            noise,
            frames,
            steps=settings.steps,
            guidance=settings.guidance,
        )
        jax.block_until_ready(mel)
    with clock.stage("vocoder"):
        wave = np.asarray(model.run("vocoder", "__call__", mel, jnp.asarray([frames], jnp.int32)))
    return wave[0, : frames * model.config.mel.hop]


@functools.partial(jax.jit, static_argnums=(1, 2))
def flow_noise(key: Key[Array, ""], frames: int, mels: int) -> Float[Array, "1 f m"]:
    """The flow's noise of one segment; a frame's noise does not depend on the padded size."""
    return noise(key[None], frames, mels)
