"""From finished codes to samples, of one segment or of several at once.

A segment's codes, and its samples to rounding, are those that it has alone: all that random numbers
depend on is its own key, and padding changes nothing.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.engine.settings import Settings
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, flow_size, pad, text_buckets
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of, spread_rows
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True)
class Line:
    """What one segment is spoken from."""

    tokens: Sequence[int]
    voice: Voice
    emotion: Float[Array, "1 d"]


@dataclasses.dataclass(frozen=True)
class Finished:
    """A segment's codes without the stop code, and the mel frames that they are to fill."""

    line: Line
    codes: Int[np.ndarray, " n"]
    frames: int
    key: Key[Array, ""]  # of the flow's noise

    @property
    def span(self) -> int:
        """Frames of prompt and segment together, which the flow runs on."""
        return self.line.voice.frames + self.frames


def conditioned(
    model: Model, lines: Sequence[Line], text_size: int | None = None
) -> tuple[Float[Array, "b l d"], Float[Array, "b d"], Int[Array, "b t"], Int[Array, " b"]]:
    """Conditioning latents, emotions and padded text tokens with their numbers, a row a line."""
    lengths = [len(line.tokens) for line in lines]
    size = text_size or bucket(max(lengths), text_buckets(model.config))
    text = np.concatenate([pad(np.asarray([line.tokens], np.int32), size) for line in lines])
    return (
        jnp.concatenate([line.voice.latents for line in lines]),
        jnp.concatenate([line.emotion for line in lines]),
        jnp.asarray(text),
        jnp.asarray(lengths, jnp.int32),
    )


def waves_of(
    model: Model, finished: Sequence[Finished], settings: Settings, clock: Clock
) -> list[Float32[np.ndarray, " n"]]:
    """Each segment's samples, from its finished codes; they are not clipped."""
    buckets, mel = model.config.buckets, model.config.mel
    spread = functools.partial(spread_rows, mesh_of(model), len(finished))
    with clock.stage("latents"):
        counts = [len(one.codes) for one in finished]
        size = bucket(max(counts), buckets.codes)
        padded = np.concatenate([pad(one.codes[None], size) for one in finished])
        codes, lengths = spread((jnp.asarray(padded), jnp.asarray(counts, jnp.int32)))
        speaker, emotion, text, counts = spread(conditioned(model, [o.line for o in finished]))
        latents = stages.code_latents(model, speaker, emotion, text, counts, codes, lengths)
        sequence = jax.block_until_ready(stages.code_sequence(model, codes, latents))
    with clock.stage("flow"):
        voices = [one.line.voice for one in finished]
        frames = spread(jnp.asarray([one.frames for one in finished], jnp.int32))
        size = bucket(max(one.frames for one in finished), buckets.frames)
        condition = stages.regulate(model, sequence, lengths, frames, size=size)
        longest = max(one.span for one in finished)
        whole = flow_size(buckets, longest, max(one.frames for one in finished))
        prompt_mel, prompt_condition, prompt_frames = spread(_prompts(voices))
        mels = stages.guided_mel(
            model,
            stages.flow_noise(spread(jnp.stack([one.key for one in finished])), whole, mel.mels),
            prompt_mel,
            prompt_condition,
            prompt_frames,
            condition,
            frames,
            spread(jnp.concatenate([voice.style for voice in voices])),
            steps=settings.steps,
            guidance=settings.guidance,
        )
        jax.block_until_ready(mels)
    with clock.stage("vocoder"):
        waves = np.asarray(stages.vocode(model, mels, frames))
    return [wave[: one.frames * mel.hop] for wave, one in zip(waves, finished, strict=True)]


def _prompts(
    voices: Sequence[Voice],
) -> tuple[Float[Array, "b f m"], Float[Array, "b f c"], Int[Array, " b"]]:
    """The prompts' mels and conditions, padded to the longest, and their frames."""
    frames = jnp.asarray([voice.frames for voice in voices], jnp.int32)
    mels, conditions = [v.mel for v in voices], [v.condition for v in voices]
    return _padded(mels), _padded(conditions), frames


def _padded(arrays: Sequence[Float[Array, "1 f c"]]) -> Float[Array, "b f c"]:
    """Arrays of several lengths with zeros up to the longest."""
    size = max(array.shape[1] for array in arrays)
    return jnp.concatenate(
        [
            array
            if array.shape[1] == size
            else jnp.pad(array, ((0, 0), (0, size - array.shape[1]), (0, 0)))
            for array in arrays
        ]
    )


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


def text_batch(model: Model, tokens: Sequence[int]) -> tuple[Int[Array, "1 t"], Int[Array, " 1"]]:
    """Text tokens padded to a bucket, and their number."""
    padded = pad(np.asarray([tokens], np.int32), bucket(len(tokens), text_buckets(model.config)))
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
    return stages.code_latents(model, latents, emotion, *text, codes.ids, codes.length)


def speech_mel(
    model: Model,
    sequence: Float[Array, "1 s d"],
    codes: Codes,
    voice: Voice,
    noise: Float[Array | np.ndarray, "1 g m"],
    frames: int,
    *,
    steps: int,
    guidance: float,
) -> tuple[Float[Array, "1 f m"], Float[Array, "1 f c"]]:
    """The mel of finished codes and its condition, both padded to a bucket.

    `noise` spans prompt and target, padded to a bucket; `frames` is the target's length.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    size = bucket(frames, model.config.buckets.frames)
    target = jnp.asarray([frames], jnp.int32)
    condition = stages.regulate(model, sequence, codes.length, target, size=size)
    mel = stages.guided_mel(
        model,
        noise,
        voice.mel,
        voice.condition,
        jnp.asarray([voice.frames], jnp.int32),
        condition,
        target,
        voice.style,
        steps=steps,
        guidance=guidance,
    )
    return mel, condition


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
        sequence = jax.block_until_ready(stages.code_sequence(model, codes.ids, latents))
    with clock.stage("flow"):
        size = flow_size(model.config.buckets, voice.frames + frames, frames)
        noise = stages.flow_noise(key[None], size, model.config.mel.mels)
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
        wave = np.asarray(stages.vocode(model, mel, jnp.asarray([frames], jnp.int32)))
    return wave[0, : frames * model.config.mel.hop]
