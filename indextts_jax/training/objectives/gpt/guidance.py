"""Guided attention: some heads are drawn to the text token that each code voices.

With little speech a GPT learns to go on from its codes long before it learns to read. The alignment
shows it where to look, while it trains from scratch; it counts less and less, and then not at all.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.layers.masks import valid
from indextts_jax.models.gpt_training import LEAST_MASS
from indextts_jax.training.objectives.base import Term


def near(
    alignment: Int[Array, "b s"], text_lengths: Int[Array, " b"], size: int, reach: int
) -> Bool[Array, "b s t"]:
    """Which of `size` text tokens each code may be drawn to: those near the one that it voices."""
    distance = jnp.abs(jnp.arange(size) - alignment[..., None])
    return (distance <= reach) & valid(text_lengths, size)[:, None]


def attention(
    mass: Float[Array, "g b e s"], code_lengths: Int[Array, " b"], guided: Bool[Array, " b"]
) -> Term:
    """Minus the logarithm of the attention near a code's token: a mean over layers and heads, and
    over the codes of rows that have an alignment.
    """
    loss = -jnp.log(mass + LEAST_MASS).mean(axis=(0, 2))  # b s
    counts = valid(code_lengths, loss.shape[1]) & guided[:, None]
    total = jnp.sum(jnp.where(counts, loss, 0))
    return Term(total, jnp.sum(counts, dtype=jnp.float32))


def faded(term: Term, progress: Float[Array, " b"], until: float) -> Term:
    """What of it counts after a share of all steps: all at first, nothing from `until` on."""
    left = jnp.maximum(1 - jnp.max(progress) / until, 0)
    return term._replace(total=term.total * left)


def logged(term: Term) -> Term:
    """The whole of it, for the log alone."""
    return term._replace(total=jax.lax.stop_gradient(term.total))
