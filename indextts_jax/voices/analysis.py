"""Analysis of the prompts: a clip of a voice, a clip of an emotion."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.audio.features import centred, filter_bank, log_mel, semantic_features
from indextts_jax.audio.io import load_audio, resample
from indextts_jax.config import ModelConfig
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.utils.hashing import FileHash, hash_file
from indextts_jax.utils.paths import user_path
from indextts_jax.utils.stopwatch import Clock

ENCODER_RATE = 16000  # Hz, for everything but the prompt mel


@dataclasses.dataclass(frozen=True)
class Voice:
    """The analysis of a speaker prompt: all that speaking needs, for any number of sentences.

    `base` is the emotion vector from the signal of the voice (resampled twice), `own` the one from
    the signal of an emotion prompt (resampled once): nearly the same, but the reference uses both.
    `condition` is computed from `quantized`, and alone depends on the compute dtype.
    """

    latents: Float[Array, "1 l d"]
    base: Float[Array, "1 d"]
    own: Float[Array, "1 d"]
    style: Float[Array, "1 s"]
    mel: Float[Array, "1 f m"]  # padded to a bucket
    condition: Float[Array, "1 f c"]  # the same frames out of the length regulator
    frames: int
    # Features that the condition is made from, padded to a bucket: those of the prompt's codes, or,
    # in versions that do not quantise prompts (2.5), the semantic features.
    quantized: Float[Array, "1 t e"]
    codes: int  # valid ones
    source: FileHash | None = None  # the recording; None for signals without a file
    start: float = 0.0  # second at which the used excerpt begins


@dataclasses.dataclass(frozen=True)
class EmotionPrompt:
    """The analysis of a recording of an emotion."""

    vector: Float[Array, "1 d"] | None  # None in a recipe, which only names the recording
    source: FileHash | None = None  # the recording
    start: float = 0.0  # second at which the used excerpt begins


class Signals(NamedTuple):
    """A speaker prompt at the rate of the mel, and resampled from that to the encoders' rate."""

    wide: Float32[np.ndarray, " n"]
    narrow: Float32[np.ndarray, " k"]


class Parts(NamedTuple):
    """Intermediate results of a `Voice`, padded; `length` semantic features are valid."""

    semantic: Float[Array, "1 t d"]
    length: Int[Array, " 1"]
    codes: Int[Array, "1 t"] | None  # None where the version does not quantise prompts
    quantized: Float[Array, "1 t d"]


def speaker_signals(path: str | Path, config: ModelConfig, start: float = 0.0) -> Signals:
    """The signals of a speaker prompt that begins at second `start`."""
    rate = config.mel.sample_rate
    wide = load_audio(path, rate, config.limits.prompt_seconds, start)
    return Signals(wide, resample(wide, rate, ENCODER_RATE))


def semantic(
    model: Model, signal: Float32[np.ndarray, " n"]
) -> tuple[Float[Array, "1 t d"], Int[Array, " 1"]]:
    """Semantic features of a 16 kHz signal, padded to a bucket, and their number."""
    features, mask = semantic_features(signal)
    size = bucket(len(features), model.buckets.features)
    padded = stages.semantic_features(
        model,
        jnp.asarray(pad(features[None], size)),
        jnp.asarray(pad(mask[None], size).astype(bool)),
    )
    return padded, jnp.asarray([len(features)], jnp.int32)


def analyse_style(model: Model, signal: Float32[np.ndarray, " n"]) -> Float[Array, "1 s"]:
    """The style vector of a 16 kHz signal."""
    banks = centred(filter_bank(signal))
    padded = pad(banks[None], bucket(len(banks), model.buckets.frames))
    return stages.style_vector(model, jnp.asarray(padded), jnp.asarray([len(banks)], jnp.int32))


def prompt_condition(
    model: Model, quantized: Float[Array, "1 t e"], length: Int[Array, " 1"], frames: int
) -> Float[Array, "1 f c"]:
    """The condition of a prompt's frames, padded to a bucket, from `Voice.quantized`."""
    size = bucket(frames, model.buckets.frames)
    target = jnp.asarray([frames], jnp.int32)
    return stages.regulate(model, quantized, length, target, size=size)


def analyse_signals(
    model: Model, signals: Signals, emotion: Float32[np.ndarray, " e"]
) -> tuple[Voice, Parts]:
    """The analysis of a speaker prompt's signals, and its intermediate results.

    `emotion` is the same clip, loaded as an emotion prompt is: directly at 16 kHz. If the recording
    has the rate of the mel, both signals are equal and are analysed once.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    features, length = semantic(model, signals.narrow)
    base = stages.emotion_vector(model, features, length)
    if np.array_equal(signals.narrow, emotion):
        own = base
    else:
        own = stages.emotion_vector(model, *semantic(model, emotion))
    version = version_of(model.config)
    style = analyse_style(model, signals.narrow)
    codes, quantized = version.prompt_features(model, features, length)
    mel = log_mel(signals.wide, model.config.mel)
    voice = Voice(
        latents=version.speaker_latents(model, features, length, style),
        base=base,
        own=own,
        style=style,
        mel=jnp.asarray(pad(mel[None], bucket(len(mel), model.buckets.frames))),
        condition=prompt_condition(model, quantized, length, len(mel)),
        frames=len(mel),
        quantized=quantized,
        codes=int(length[0]),
    )
    return voice, Parts(features, length, codes, quantized)


def analyse_voice(
    model: Model, path: str | Path, clock: Clock | None = None, start: float = 0.0
) -> Voice:
    """The analysis of a speaker prompt, used from second `start` on."""
    with (clock or Clock()).stage("speaker prompt"):
        signals = speaker_signals(path, model.config, start)
        own = load_audio(path, ENCODER_RATE, model.config.limits.prompt_seconds, start)
        voice, _ = analyse_signals(model, signals, own)
        jax.block_until_ready([voice.latents, voice.base, voice.own, voice.style, voice.condition])
        return dataclasses.replace(voice, source=hash_file(user_path(path)), start=start)


def analyse_emotion(
    model: Model,
    path: str | Path,
    clock: Clock | None = None,
    start: float = 0.0,
    voice: Voice | None = None,
) -> EmotionPrompt:
    """The analysis of an emotion prompt, which is loaded directly at 16 kHz.

    It is used from second `start` on. If it is the recording of `voice`, its vector is reused.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    source = hash_file(user_path(path, "the recording"))
    if voice is not None and voice.source == source and voice.start == start:
        return EmotionPrompt(voice.own, source, start)
    with (clock or Clock()).stage("emotion prompt"):
        signal = load_audio(path, ENCODER_RATE, model.config.limits.prompt_seconds, start)
        vector = stages.emotion_vector(model, *semantic(model, signal))
        return EmotionPrompt(jax.block_until_ready(vector), source, start)
