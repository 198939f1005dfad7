"""The emotion vector that the GPT is given."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from indextts_jax.emotion.vectors import merge_emotion, mix_weighted, scale_weights
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.voices.analysis import Voice


def check_emotion(
    model: Model, prompt: bool, alpha: float | None, weights: Sequence[float] | None
) -> None:
    """Makes sure that what is asked of the emotion fits together.

    Raises:
        InputError: if it does not.
    """
    if prompt and weights is not None:
        raise InputError("an emotion prompt and emotion weights exclude each other: give one")
    if alpha is not None and not prompt and weights is None:
        raise InputError("emotion_alpha needs an emotion prompt or emotion weights")
    if alpha is not None and not np.isfinite(alpha):
        raise InputError(f"emotion_alpha must be a finite number, got {alpha}")
    groups = len(model.config.emotion_prototypes.groups)
    if weights is not None and (len(weights) != groups or not np.isfinite(weights).all()):
        raise InputError(f"emotion_weights must be {groups} finite numbers, got {list(weights)}")


def emotion_vector(
    model: Model,
    voice: Voice,
    emotion: Float[Array, "1 d"] | None,
    alpha: float | None,
    weights: Sequence[float] | None,
    rows: Sequence[int] | None = None,
) -> Float[Array, "1 d"]:
    """The emotion vector that the GPT is given.

    With weights, `rows` are the stored vectors, one an emotion, that are taken; by default those
    that suit the voice.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    check_emotion(model, emotion is not None, alpha, weights)
    if emotion is not None:
        return merge_emotion(voice.base, emotion, 1.0 if alpha is None else alpha)
    own = merge_emotion(voice.base, voice.own, 1.0)
    if weights is None:
        return own
    numbers = [float(weight) for weight in weights]
    scaled = jnp.asarray([scale_weights(numbers, 1.0 if alpha is None else alpha)], jnp.float32)
    if rows is None:
        prototype = stages.nearest_prototypes(model, voice.style, scaled)
    else:
        prototype = stages.mix_prototypes(model, scaled, jnp.asarray([rows], jnp.int32))
    return mix_weighted(prototype, scaled, own)
