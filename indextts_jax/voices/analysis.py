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
from indextts_jax.utils.hashing import FileHash, hash_file
from indextts_jax.utils.stopwatch import Clock

ENCODER_RATE = 16000  # Hz, of everything but the prompt mel


@dataclasses.dataclass(frozen=True)
class Voice:
    """What is kept of a speaker prompt: all that speaking needs, for any number of sentences.

    `base` is the emotion vector on the route of the voice (resampled twice), `own` the one on the
    route of an emotion prompt: nearly the same, and the reference tells them apart.
    `condition` is made of `quantized`, and the only one that depends on the compute dtype.
    """

    latents: Float[Array, "1 l d"]
    base: Float[Array, "1 d"]
    own: Float[Array, "1 d"]
    style: Float[Array, "1 s"]
    mel: Float[Array, "1 f m"]  # padded to a bucket
    condition: Float[Array, "1 f c"]  # the same frames out of the length regulator
    frames: int
    quantized: Float[Array, "1 t e"]  # features of the prompt's codes, padded to a bucket
    codes: int
    source: FileHash | None = None  # the recording; none for signals that came from no file
    start: float = 0.0  # the second of it from which on it was heard


@dataclasses.dataclass(frozen=True)
class EmotionPrompt:
    """What is kept of a recording of an emotion."""

    vector: Float[Array, "1 d"] | None  # none in a recipe, which only names the recording
    source: FileHash | None = None  # the recording
    start: float = 0.0  # the second of it from which on it was heard


class Signals(NamedTuple):
    """A speaker prompt's signals: at the rate of the mel, and from it at that of the encoders."""

    wide: Float32[np.ndarray, " n"]
    narrow: Float32[np.ndarray, " k"]


class Parts(NamedTuple):
    """What is met on the way to a `Voice`, padded; `length` semantic features are valid."""

    semantic: Float[Array, "1 t d"]
    length: Int[Array, " 1"]
    codes: Int[Array, "1 t"]
    quantized: Float[Array, "1 t d"]


def speaker_signals(path: str | Path, config: ModelConfig, start: float = 0.0) -> Signals:
    """The two signals of a speaker prompt from a second on; the second is made of the first."""
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
    """The condition of a prompt's frames, padded to a bucket, from the features of its codes."""
    size = bucket(frames, model.buckets.frames)
    target = jnp.asarray([frames], jnp.int32)
    return stages.regulate(model, quantized, length, target, size=size)


def analyse_signals(
    model: Model, signals: Signals, emotion: Float32[np.ndarray, " e"]
) -> tuple[Voice, Parts]:
    """The analysis of a speaker prompt's signals, and what was met on the way.

    `emotion` is the same clip, loaded as an emotion prompt is: directly at 16 kHz. Of a recording
    at the rate of the mel both routes give the same samples, which are then analysed once.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    features, length = semantic(model, signals.narrow)
    base = stages.emotion_vector(model, features, length)
    if np.array_equal(signals.narrow, emotion):
        own = base
    else:
        own = stages.emotion_vector(model, *semantic(model, emotion))
    codes, quantized = stages.quantize(model, features, length)
    mel = log_mel(signals.wide, model.config.mel)
    voice = Voice(
        latents=stages.speaker_latents(model, features, length),
        base=base,
        own=own,
        style=analyse_style(model, signals.narrow),
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
    """The analysis of a speaker prompt, which is heard from second `start` on."""
    with (clock or Clock()).stage("speaker prompt"):
        signals = speaker_signals(path, model.config, start)
        own = load_audio(path, ENCODER_RATE, model.config.limits.prompt_seconds, start)
        voice, _ = analyse_signals(model, signals, own)
        jax.block_until_ready([voice.latents, voice.base, voice.own, voice.style, voice.condition])
        return dataclasses.replace(voice, source=hash_file(Path(path)), start=start)


def analyse_emotion(
    model: Model,
    path: str | Path,
    clock: Clock | None = None,
    start: float = 0.0,
    voice: Voice | None = None,
) -> EmotionPrompt:
    """The analysis of an emotion prompt, which is loaded directly at 16 kHz.

    It is heard from second `start` on. What `voice` knows of its own recording is not analysed
    again.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    source = hash_file(Path(path))
    if voice is not None and voice.source == source and voice.start == start:
        return EmotionPrompt(voice.own, source, start)
    with (clock or Clock()).stage("emotion prompt"):
        signal = load_audio(path, ENCODER_RATE, model.config.limits.prompt_seconds, start)
        vector = stages.emotion_vector(model, *semantic(model, signal))
        return EmotionPrompt(jax.block_until_ready(vector), source, start)
