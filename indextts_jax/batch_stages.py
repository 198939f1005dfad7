"""The stages of several segments at once: the same programs as in `stages`, with more rows.

A segment's codes, and its samples to rounding, are those that it has alone: all that random numbers
depend on is its own key, and padding changes nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.buckets import bucket, pad
from indextts_jax.clock import Clock
from indextts_jax.model import Model
from indextts_jax.prompts import Voice
from indextts_jax.sampling.flow import noise
from indextts_jax.sampling.generate import generate
from indextts_jax.settings import Settings, code_limit
from indextts_jax.stages import guided_mel, text_ladder


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


Placed = Callable[[jax.Array], jax.Array]  # where an array with a row a segment goes


def here(array: jax.Array) -> jax.Array:
    """The array where it is."""
    return array


def conditioned(
    model: Model, lines: Sequence[Line], place: Placed = here
) -> tuple[Float[Array, "b l d"], Float[Array, "b d"], Int[Array, "b t"], Int[Array, " b"]]:
    """Conditioning latents, emotions and padded text tokens with their numbers, a row a line."""
    lengths = [len(line.tokens) for line in lines]
    size = bucket(max(lengths), text_ladder(model))
    text = np.concatenate([pad(np.asarray([line.tokens], np.int32), size) for line in lines])
    return (
        place(jnp.concatenate([line.voice.latents for line in lines])),
        place(jnp.concatenate([line.emotion for line in lines])),
        place(jnp.asarray(text)),
        place(jnp.asarray(lengths, jnp.int32)),
    )


def codes_of(
    model: Model,
    lines: Sequence[Line],
    settings: Settings,
    keys: Sequence[Key[Array, ""]],
    place: Placed = here,
) -> list[tuple[Int[np.ndarray, " n"], bool]]:
    """Each line's codes, and whether the limit came before a stop code; all wait for the last."""
    sampling = settings.sampling_up_to(code_limit(model, settings))
    generated = model.run(
        "gpt",
        generate,
        *conditioned(model, lines, place),
        place(jnp.stack(keys)),
        sampling.numbers,
        strategy=sampling.strategy,
    )
    rows = zip(*map(np.asarray, generated), strict=True)
    return [(ids[:count], bool(truncated)) for ids, count, truncated in rows]


def waves_of(
    model: Model,
    finished: Sequence[Finished],
    settings: Settings,
    clock: Clock,
    place: Placed = here,
) -> list[Float32[np.ndarray, " n"]]:
    """Each segment's samples, from its finished codes; they are not clipped."""
    buckets, mel = model.config.buckets, model.config.mel
    counts = [len(one.codes) for one in finished]
    size = bucket(max(counts), buckets.codes)
    codes = place(jnp.asarray(np.concatenate([pad(one.codes[None], size) for one in finished])))
    lengths = place(jnp.asarray(counts, jnp.int32))
    with clock.stage("latents"):
        given = conditioned(model, [one.line for one in finished], place)
        latents = model.run("gpt", "latents", *given, codes, lengths)
        sequence = model.run("semantic_codec", "vq2emb", codes)
        sequence = sequence + model.run("length_regulator", "project", latents)
        jax.block_until_ready(sequence)
    frames = place(jnp.asarray([one.frames for one in finished], jnp.int32))
    with clock.stage("flow"):
        size = bucket(max(one.frames for one in finished), buckets.frames)
        condition = model.run("length_regulator", "__call__", sequence, lengths, frames, size=size)
        whole = bucket(max(one.span for one in finished), buckets.frames)
        voices = [one.line.voice for one in finished]
        drawn = _noise(place(jnp.stack([one.key for one in finished])), whole, mel.mels)
        mels = guided_mel(
            model,
            drawn,
            place(_padded([voice.mel for voice in voices])),
            place(_padded([voice.condition for voice in voices])),
            place(jnp.asarray([voice.frames for voice in voices], jnp.int32)),
            condition,
            frames,
            place(jnp.concatenate([voice.style for voice in voices])),
            steps=settings.steps,
            guidance=settings.guidance,
        )
        jax.block_until_ready(mels)
    with clock.stage("vocoder"):
        waves = np.asarray(model.run("vocoder", "__call__", mels, frames))
    return [wave[: one.frames * mel.hop] for wave, one in zip(waves, finished, strict=True)]


_noise = jax.jit(noise, static_argnums=(1, 2))


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
