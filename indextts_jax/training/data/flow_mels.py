"""Mels of clips as the flow makes them: what the vocoder gets when it speaks.

Each clip is made from its own codes (and latents, in version 2.0), as long as it is, with the first
seconds of another clip of the speaker as prompt.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, flow_size, pad, within
from indextts_jax.runtime.model import Model
from indextts_jax.training.versions.interface import kind_of

RATE = 50  # rows a second of what a prompt is conditioned on, in every version
PROMPT_SECONDS = 3.0  # as far as the flow has had prompts in training
STEPS, GUIDANCE = 10, 0.7  # of the flow
LENGTHS = tuple(range(128, 1025, 128))  # codes or semantic features of a clip, padded


@dataclasses.dataclass(frozen=True)
class Coded:
    """What the flow makes a clip from."""

    codes: np.ndarray
    latents: np.ndarray | None  # codes x width; None where the version has none
    frames: int
    prompt: np.ndarray  # the feature that the version makes its condition from
    prompt_mel: np.ndarray  # frames x bands
    prompt_style: np.ndarray
    seed: int  # of the noise

    def cut(self, model: Model) -> "Coded":
        """With no more of the prompt than `PROMPT_SECONDS`."""
        rate = model.config.mel.sample_rate / model.config.mel.hop
        return dataclasses.replace(
            self,
            prompt=self.prompt[: int(PROMPT_SECONDS * RATE)],
            prompt_mel=self.prompt_mel[: int(PROMPT_SECONDS * rate)],
        )


def flow_mels(model: Model, clips: Sequence[Coded], rows: int) -> list[np.ndarray]:
    """The mels of clips, float16 (frames x bands): one batch, filled up to `rows` clips."""
    clips = [clip.cut(model) for clip in clips]
    filled = [*clips, *[clips[0]] * (rows - len(clips))]
    frames = _counts([clip.frames for clip in filled])
    kind, size = kind_of(model.config), _size(model, filled)
    given = [clip.latents for clip in filled if clip.latents is not None]
    sequence, lengths = kind.coded_condition(
        model,
        _stacked([clip.codes.astype(np.int32) for clip in filled], size),
        _stacked([array.astype(np.float32) for array in given], size) if given else None,
        _counts([len(clip.codes) for clip in filled]),
    )
    size = bucket(int(frames.max()), model.buckets.frames)
    condition = stages.regulate(model, sequence, lengths, frames, size=size)
    prompt_frames = _counts([len(clip.prompt_mel) for clip in filled])
    size = bucket(int(prompt_frames.max()), model.buckets.frames)
    prompts = bucket(max(len(clip.prompt) for clip in filled), LENGTHS)
    prompt_condition = stages.regulate(
        model,
        kind.prompt_condition(model, _stacked([clip.prompt for clip in filled], prompts)),
        _counts([len(clip.prompt) for clip in filled]),
        prompt_frames,
        size=size,
    )
    spans = max(clip.frames + len(clip.prompt_mel) for clip in filled)
    keys = jnp.stack([jax.random.key(clip.seed) for clip in filled])
    made = stages.guided_mel(
        model,
        stages.flow_noise(
            keys, flow_size(model.buckets, spans, int(frames.max())), model.config.mel.mels
        ),
        _stacked([clip.prompt_mel.astype(np.float32) for clip in filled], size),
        prompt_condition,
        prompt_frames,
        condition,
        frames,
        np.stack([clip.prompt_style for clip in filled]),
        steps=STEPS,
        guidance=GUIDANCE,
    )
    host = np.asarray(made)
    return [host[n, : clip.frames].astype(np.float16) for n, clip in enumerate(clips)]


def _size(model: Model, clips: Sequence[Coded]) -> int:
    longest = max(len(clip.codes) for clip in clips)
    return bucket(longest, within(LENGTHS, model.config.gpt.code_positions))


def _counts(values: Sequence[int]) -> np.ndarray:
    return np.asarray(values, np.int32)


def _stacked(arrays: Sequence[np.ndarray], size: int) -> np.ndarray:
    return np.stack([pad(array, size, axis=0) for array in arrays])
