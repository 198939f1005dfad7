"""Guided attention: a loss that draws some heads to the text token that each code voices.

With little speech, a GPT learns to continue its codes long before it learns to read. The alignment
guides its attention in training from scratch, with a weight that decreases to zero.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.layers.masks import valid
from indextts_jax.models.training.gpt import LEAST_MASS
from indextts_jax.training.objectives.base import Term


def near(
    alignment: Int[Array, "b s"], text_lengths: Int[Array, " b"], size: int, reach: int
) -> Bool[Array, "b s t"]:
    """Mask of the text tokens (of `size`) near the one that each code voices."""
    distance = jnp.abs(jnp.arange(size) - alignment[..., None])
    return (distance <= reach) & valid(text_lengths, size)[:, None]


def attention(
    mass: Float[Array, "g b e s"], code_lengths: Int[Array, " b"], guided: Bool[Array, " b"]
) -> Term:
    """Negative log of the attention near a code's token.

    A mean over layers, heads, and the codes of rows with an alignment.
    """
    loss = -jnp.log(mass + LEAST_MASS).mean(axis=(0, 2))  # b s
    counts = valid(code_lengths, loss.shape[1]) & guided[:, None]
    total = jnp.sum(jnp.where(counts, loss, 0))
    return Term(total, jnp.sum(counts, dtype=jnp.float32))


def faded(term: Term, progress: Float[Array, " b"], until: float) -> Term:
    """The weighted term after a share of all steps: full at first, zero from `until` on."""
    left = jnp.maximum(1 - jnp.max(progress) / until, 0)
    return term._replace(total=term.total * left)


def logged(term: Term) -> Term:
    """The unweighted term, only for the log."""
    return term._replace(total=jax.lax.stop_gradient(term.total))
