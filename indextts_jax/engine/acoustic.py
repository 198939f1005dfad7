"""From finished codes to samples, for any number of rows; a single segment is a batch of one.

Up to rounding, a row's samples do not depend on the other rows: its noise comes from its own key,
and padding changes nothing.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.engine.settings import Settings
from indextts_jax.models.gpt import Heads
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, flow_size, pad
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of, shard_rows
from indextts_jax.runtime.versions.interface import CodeRows, Conditions
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True)
class Line:
    """The inputs of one segment: text tokens, voice and emotion vector."""

    tokens: Sequence[int]
    voice: Voice
    emotion: Float[Array, "1 d"]
    language: int | None = None  # row of the language embedding; None where the version has none


@dataclasses.dataclass(frozen=True)
class SynthesisRow:
    """A segment's codes, without the stop code, and the number of mel frames to make from them."""

    line: Line
    codes: Int[np.ndarray, " n"]
    frames: int
    key: Key[Array, ""] | None = None  # of the flow's noise; None if the noise is given

    @property
    def span(self) -> int:
        """Frames of prompt and segment together, which the flow runs on."""
        return self.line.voice.frames + self.frames


def condition_rows(model: Model, lines: Sequence[Line], text_size: int | None = None) -> Conditions:
    """Conditioning latents, emotion vectors, padded text tokens with their counts, by line."""
    lengths = [len(line.tokens) for line in lines]
    size = text_size or bucket(max(lengths), model.buckets.text)
    text = np.concatenate([pad(np.asarray([line.tokens], np.int32), size) for line in lines])
    languages = [line.language for line in lines if line.language is not None]
    return Conditions(
        jnp.concatenate([line.voice.latents for line in lines]),
        jnp.concatenate([line.emotion for line in lines]),
        jnp.asarray(text),
        jnp.asarray(lengths, jnp.int32),
        jnp.asarray(languages, jnp.int32) if languages else None,
    )


def encode_rows(model: Model, rows: Sequence[SynthesisRow], heads: Heads = ()) -> CodeRows:
    """From finished codes to the input of the length regulator; with the attention of `heads`.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    shard = _sharder(model, rows)
    counts = [len(row.codes) for row in rows]
    size = bucket(max(counts), model.buckets.codes)
    padded = np.concatenate([pad(np.asarray(row.codes, np.int32)[None], size) for row in rows])
    codes, lengths = shard((jnp.asarray(padded), jnp.asarray(counts, jnp.int32)))
    conditions = shard(condition_rows(model, [row.line for row in rows]))
    return version_of(model.config).code_rows(model, conditions, codes, lengths, heads)


def flow_frames(model: Model, rows: Sequence[SynthesisRow]) -> int:
    """The padded number of frames that the flow runs on for these rows."""
    longest = max(row.frames for row in rows)
    return flow_size(model.buckets, max(row.span for row in rows), longest)


def mel_of_rows(
    model: Model,
    rows: Sequence[SynthesisRow],
    coded: CodeRows,
    noise: Float[Array | np.ndarray, "b g m"],
    *,
    steps: int,
    guidance: float,
) -> tuple[Float[Array, "b f m"], Float[Array, "b f c"]]:
    """The mels of rows and their conditions, both padded to a bucket.

    `noise` spans prompt and target, padded to `flow_frames`.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    shard = _sharder(model, rows)
    frames = shard(jnp.asarray([row.frames for row in rows], jnp.int32))
    size = bucket(max(row.frames for row in rows), model.buckets.frames)
    condition = stages.regulate(model, coded.sequence, coded.lengths, frames, size=size)
    prompt_mel, prompt_condition, prompt_frames, style = shard(_prompts(rows))
    mel = stages.guided_mel(
        model,
        noise,
        prompt_mel,
        prompt_condition,
        prompt_frames,
        condition,
        frames,
        style,
        steps=steps,
        guidance=guidance,
    )
    return mel, condition


def synthesize(
    model: Model, rows: Sequence[SynthesisRow], settings: Settings, clock: Clock
) -> list[Float32[np.ndarray, " n"]]:
    """Each row's samples from its finished codes, not clipped."""
    return [wave for wave, _ in synthesize_aligned(model, rows, settings, clock)]


def synthesize_aligned(
    model: Model,
    rows: Sequence[SynthesisRow],
    settings: Settings,
    clock: Clock,
    heads: Heads = (),
) -> list[tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, "s t"] | None]]:
    """As `synthesize`; with each row's attention of codes to text tokens, the mean of `heads`.

    The attention is None without heads. The samples are the same with and without.
    """
    mel = model.config.mel
    with clock.stage("latents"):
        coded = jax.block_until_ready(encode_rows(model, rows, heads))
    with clock.stage("flow"):
        keys = _sharder(model, rows)(jnp.stack([row.key for row in rows if row.key is not None]))
        noise = stages.flow_noise(keys, flow_frames(model, rows), mel.mels)
        mels, _ = mel_of_rows(
            model, rows, coded, noise, steps=settings.steps, guidance=settings.guidance
        )
        jax.block_until_ready(mels)
    with clock.stage("vocoder"):
        frames = _sharder(model, rows)(jnp.asarray([row.frames for row in rows], jnp.int32))
        waves = np.asarray(stages.vocode(model, mels, frames))
    cut = [wave[: row.frames * mel.hop] for wave, row in zip(waves, rows, strict=True)]
    return list(zip(cut, _attention(rows, coded), strict=True))


def attention_of(
    model: Model, rows: Sequence[SynthesisRow], heads: Heads
) -> list[Float32[np.ndarray, "s t"] | None]:
    """Each row's attention of codes to text tokens, as `synthesize_aligned` gives it."""
    return _attention(rows, encode_rows(model, rows, heads)) if heads else [None] * len(rows)


def _attention(
    rows: Sequence[SynthesisRow], coded: CodeRows
) -> list[Float32[np.ndarray, "s t"] | None]:
    """Each row's attention without padding: the mean of the heads."""
    if coded.attention is None:
        return [None] * len(rows)
    return [
        each[:, : len(row.codes), : len(row.line.tokens)].mean(axis=0)
        for each, row in zip(np.asarray(coded.attention), rows, strict=True)
    ]


def _sharder(model: Model, rows: Sequence[SynthesisRow]) -> Any:
    """A function that shards arrays with these rows over the devices of a model."""
    return functools.partial(shard_rows, mesh_of(model), len(rows))


def _prompts(
    rows: Sequence[SynthesisRow],
) -> tuple[Float[Array, "b f m"], Float[Array, "b f c"], Int[Array, " b"], Float[Array, "b s"]]:
    """The prompts' mels and conditions, padded to the longest, their frames, and the styles."""
    voices = [row.line.voice for row in rows]
    return (
        _padded([voice.mel for voice in voices]),
        _padded([voice.condition for voice in voices]),
        jnp.asarray([voice.frames for voice in voices], jnp.int32),
        jnp.concatenate([voice.style for voice in voices]),
    )


def _padded(arrays: Sequence[Float[Array, "1 f c"]]) -> Float[Array, "b f c"]:
    """Concatenates arrays, padded with zeros to the longest."""
    size = max(array.shape[1] for array in arrays)
    return jnp.concatenate(
        [
            array
            if array.shape[1] == size
            else jnp.pad(array, ((0, 0), (0, size - array.shape[1]), (0, 0)))
            for array in arrays
        ]
    )
