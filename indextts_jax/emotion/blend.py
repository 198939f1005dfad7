"""The emotion vector that conditions the GPT."""

import random

import jax.numpy as jnp
from jaxtyping import Array, Float

from indextts_jax.emotion.request import Emotion, weights_of
from indextts_jax.emotion.vectors import (
    merge_emotion,
    mix_weighted,
    normalize_weights,
    random_rows,
    scale_weights,
)
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.voices.analysis import EmotionPrompt, Voice

OWN = Emotion()


def emotion_vector(
    model: Model, voice: Voice, emotion: Emotion = OWN, seed: int = 0
) -> Float[Array, "1 d"]:
    """The vector of an emotion whose text or recording has already been analysed.

    With `emotion.random`, the seed picks the stored vector of each emotion.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    alpha = 1.0 if emotion.alpha is None else emotion.alpha
    if emotion.source == "prompt":
        assert isinstance(emotion.prompt, EmotionPrompt)
        assert emotion.prompt.vector is not None
        return merge_emotion(voice.base, emotion.prompt.vector, alpha)
    own = merge_emotion(voice.base, voice.own, 1.0)
    if emotion.weights is None:
        return own
    weights = weights_of(emotion.weights)
    weights = normalize_weights(weights) if emotion.bias else weights
    scaled = jnp.asarray([scale_weights(weights, alpha)], jnp.float32)
    if emotion.random:
        rows = random_rows(model.config.emotion_prototypes.groups, random.Random(seed))
        prototype = stages.mix_prototypes(model, scaled, jnp.asarray([rows], jnp.int32))
    else:
        prototype = stages.nearest_prototypes(model, voice.style, scaled)
    return mix_weighted(prototype, scaled, own)
