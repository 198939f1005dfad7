"""Arithmetic of emotion vectors: blending with an emotion prompt, and the eight weights."""

import random
from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def merge_emotion(
    base: Float[Array, "b d"], emotion: Float[Array, "b d"], alpha: ArrayLike
) -> Float[Array, "b d"]:
    """Interpolates from the speaker's emotion vector (alpha 0) to the prompt's (1), or beyond.

    `alpha` is one number, or one per row.

    Source: `UnifiedVoice.merge_emovec` of the PyTorch release.
    """
    return base + jnp.reshape(jnp.asarray(alpha, jnp.float32), (-1, 1)) * (emotion - base)


def mix_weighted(
    weighted: Float[Array, "b d"], weights: Float[Array, "b g"], emotion: Float[Array, "b d"]
) -> Float[Array, "b d"]:
    """The weighted prototypes plus `emotion` times one minus the sum of the weights.

    The weights may sum to more than one: `emotion` then has a negative factor.

    Source: `IndexTTS2.infer` of the PyTorch release.
    """
    return weighted + (1 - jnp.sum(weights, axis=-1, keepdims=True)) * emotion


def scale_weights(weights: Sequence[float], alpha: float) -> tuple[float, ...]:
    """The weights times `alpha` (clipped to 0 to 1), truncated to four decimals.

    As in the reference, the product in double precision is truncated towards zero: 0.7 times 0.1
    gives 0.0699. An alpha of one leaves the weights unchanged.

    Source: `IndexTTS2.infer` of the PyTorch release.
    """
    alpha = min(max(alpha, 0.0), 1.0)
    if alpha == 1:
        return tuple(weights)
    return tuple(int(weight * alpha * 10000) / 10000 for weight in weights)


def random_rows(groups: Sequence[int], generator: random.Random) -> tuple[int, ...]:
    """A uniformly random row of each emotion's prototypes, counted from the emotion's first.

    Source: `IndexTTS2.infer` of the PyTorch release, with `use_random`.
    """
    return tuple(generator.randint(0, rows - 1) for rows in groups)


# Factor of each emotion in the reference's web interface: less for those that easily sound
# overdone.
BIAS = (0.9375, 0.875, 1.0, 1.0, 0.9375, 0.9375, 0.6875, 0.5625)
MOST = 0.8  # of the sum of the weights there: the rest is the voice's own emotion


def normalize_weights(weights: Sequence[float], *, bias: bool = True) -> tuple[float, ...]:
    """The weights as the reference's web interface passes them on: biased, their sum capped.

    Source: `IndexTTS2.normalize_emo_vec` of the PyTorch release.
    """
    factors = BIAS if bias else (1.0,) * len(BIAS)
    values = [weight * factor for weight, factor in zip(weights, factors, strict=True)]
    total = sum(values)
    if total > MOST:
        values = [value * (MOST / total) for value in values]
    return tuple(values)
