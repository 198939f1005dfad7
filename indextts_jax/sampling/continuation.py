"""A mel that goes on from a prompt: prompt and target side by side in the flow, target out."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from indextts_jax.layers.conv import valid, zero_padding
from indextts_jax.models.dit import DiT
from indextts_jax.sampling.flow import sample


def _shifted(
    x: Float[Array, "b f c"], starts: Int[Array, " b"], frames: int
) -> Float[Array, "b g c"]:
    """`frames` frames of each row from its start on; the last frame repeats past the end."""
    indices = jnp.clip(starts[:, None] + jnp.arange(frames), 0, x.shape[1] - 1)
    return jnp.take_along_axis(x, indices[..., None], axis=1)


def continue_mel(
    dit: DiT,
    noise: Float[Array, "b g m"],
    prompt_mel: Float[Array, "b p m"],
    prompt_condition: Float[Array, "b p c"],
    prompt_lengths: Int[Array, " b"],
    condition: Float[Array, "b f c"],
    lengths: Int[Array, " b"],
    style: Float[Array, "b s"],
    *,
    steps: int,
    guidance: float,
) -> Float[Array, "b f m"]:
    """The mel of the target alone, with zeros past each row's length.

    `noise` spans prompt and target, and its size is that of the flow; the condition of the target
    begins where each row's prompt ends, whatever the padding of either.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    frames = noise.shape[1]
    in_prompt = valid(prompt_lengths, frames)[..., None]
    zeros = jnp.zeros_like(prompt_lengths)
    joined = jnp.where(
        in_prompt,
        _shifted(prompt_condition, zeros, frames),
        _shifted(condition, -prompt_lengths, frames),
    )
    mel = sample(
        dit,
        noise,
        _shifted(prompt_mel, zeros, frames),
        prompt_lengths,
        joined,
        style,
        prompt_lengths + lengths,
        steps=steps,
        guidance=guidance,
    )
    target = _shifted(mel, prompt_lengths, condition.shape[1])
    return zero_padding(target, valid(lengths, condition.shape[1]))
