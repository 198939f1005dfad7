"""Stored emotion vectors, several for each emotion, selected by the speaker's style vector."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from indextts_jax.config import EmotionPrototypesConfig
from indextts_jax.layers.parameters import Table

UNIT_EPS = 1e-8  # lower bound of a divisor norm, the default of `cosine_similarity`


def unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Vectors scaled to length one; zeros stay zeros."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), UNIT_EPS)


class EmotionPrototypes(nnx.Module):
    """An emotion vector from eight weights, using each emotion's row of the most similar speaker.

    Source: the two matrices of `IndexTTS2.infer` of the PyTorch release.
    """

    def __init__(self, cfg: EmotionPrototypesConfig, *, rngs: nnx.Rngs):
        self.groups = cfg.groups
        rows = sum(cfg.groups)
        self.speaker = Table(jax.random.normal(rngs.params(), (rows, cfg.style)))
        self.emotion = Table(0.02 * jax.random.normal(rngs.params(), (rows, cfg.width)))

    def __call__(
        self, style: Float[Array, "b c"], weights: Float[Array, "b g"]
    ) -> Float[Array, "b d"]:
        """The weighted sum of the rows selected for the speaker."""
        return self.mix(weights, self.rows(style))

    def rows(self, style: Float[Array, "b c"]) -> Int[Array, "b g"]:
        """For each emotion, the row with the highest cosine similarity; the first of equals."""
        # Elementwise products and a sum: in a matrix product a device may round the factors (TF32),
        # which could change the choice.
        similarity = jnp.sum(unit(style)[:, None] * unit(self.speaker[...]), axis=-1)
        ends = np.cumsum(self.groups)
        groups = jnp.split(similarity, ends[:-1], axis=-1)
        return jnp.stack([jnp.argmax(group, axis=-1) for group in groups], axis=-1).astype(
            jnp.int32
        )

    def mix(self, weights: Float[Array, "b g"], rows: Int[Array, "b g"]) -> Float[Array, "b d"]:
        """The weighted sum of given rows, each an index within its emotion."""
        starts = np.cumsum(self.groups) - np.asarray(self.groups)
        chosen = self.emotion[...][starts + rows]  # b g d
        return jnp.sum(weights[..., None] * chosen, axis=1)
