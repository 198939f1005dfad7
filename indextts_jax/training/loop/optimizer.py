"""AdamW with gradient clipping, and the learning rate of a step.

The moments come from optax. The rate depends only on the step and is applied here, so that it can
be logged and does not depend on the number of skipped steps.
"""

import fnmatch
from typing import Any

import jax
import jax.numpy as jnp
import optax

from indextts_jax.training.loop.state import Leaves
from indextts_jax.training.recipe import OptimizerRecipe

REWARMED = 200  # steps


def learning_rate(
    recipe: OptimizerRecipe, step: Any, steps: int, restarted: int | None = None
) -> jax.Array:
    """The rate of step `step` (from 0) of `steps`: linear warm-up, then the recipe's schedule.

    After moments restart at step `restarted`, there is another warm-up of `REWARMED` steps.
    """
    now = jnp.asarray(step, jnp.float32)
    again = 1.0 if restarted is None else jnp.clip((now - restarted + 1) / REWARMED, 0, 1)
    warm = jnp.minimum(1.0, (now + 1) / max(1, recipe.warmup))
    after = jnp.maximum(0.0, now - recipe.warmup)
    if recipe.schedule == "cosine":
        share = jnp.minimum(1.0, after / max(1, steps - 1 - recipe.warmup))
        shape = recipe.end + (1 - recipe.end) * 0.5 * (1 + jnp.cos(jnp.pi * share))
    elif recipe.schedule == "exponential":
        shape = jnp.exp(after * jnp.log(jnp.float32(recipe.factor)))
    else:
        shape = jnp.float32(1)
    return recipe.rate * warm * again * shape


def transformation(recipe: OptimizerRecipe) -> optax.GradientTransformation:
    """Clipping, Adam and weight decay, without the factor of minus the learning rate."""

    def decayed(params: Leaves) -> dict[str, bool]:
        return {
            path: any(fnmatch.fnmatch(path, pattern) for pattern in recipe.decayed)
            for path in params
        }

    clip = optax.identity() if recipe.clip is None else optax.clip_by_global_norm(recipe.clip)
    return optax.chain(
        clip,
        optax.scale_by_adam(recipe.b1, recipe.b2, recipe.eps),
        optax.add_decayed_weights(recipe.decay, mask=decayed),
    )


def averaged(average: Leaves, params: Leaves, step: Any, decay: float) -> Leaves:
    """Updates the moving average; its decay is smaller in the first steps."""
    now = jnp.asarray(step, jnp.float32)
    keep = jnp.minimum(decay, (1 + now) / (10 + now))
    return jax.tree.map(lambda old, new: old + (1 - keep) * (new - old), average, params)
