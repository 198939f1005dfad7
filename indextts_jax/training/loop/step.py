"""A training step: gradients over micro-batches and updates, skipped if not finite."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from indextts_jax.training.loop.optimizer import averaged, learning_rate, transformation
from indextts_jax.training.loop.sharding import Placement
from indextts_jax.training.loop.state import Layout, Leaves, State
from indextts_jax.training.objectives.base import Batch, Outcome, Part
from indextts_jax.training.recipe import Recipe

Metrics = dict[str, Any]  # scalars by name
Step = Callable[[State, Leaves, Batch], tuple[State, Metrics]]


def step_key(seed: int, step: Any) -> jax.Array:
    """The random key of a step."""
    return jax.random.fold_in(jax.random.key(seed), step)


def loss_of(part: Part, outcome: Outcome, counts: Mapping[str, Any]) -> jax.Array:
    """The weighted sum of a part's terms, each divided by its count in the whole batch."""
    loss = jnp.float32(0)
    for name, weight in part.weights.items():
        loss += weight * share(outcome.terms[name].total, counts[name])
    return loss


def share(total: Any, count: Any) -> jax.Array:
    """`total / count`, or 0 for a count of 0, with finite gradients in both cases."""
    return jnp.where(count > 0, total / jnp.where(count > 0, count, 1), 0)


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity, for jit
class Stepper:
    """The step function: `state, frozen leaves, batch` to `state, metrics`.

    `batch` has micro-batches as first axis and rows as second.
    """

    parts: Sequence[Part]
    layout: Layout
    recipe: Recipe
    placement: Placement
    restarted: int | None = None  # step at which moments restarted

    def __call__(self, state: State, frozen: Leaves, batch: Batch) -> tuple[State, Metrics]:
        """One step; see the class."""
        key = step_key(self.recipe.seed, state.step)
        params, moments = dict(state.params), dict(state.moments)
        statistics, metrics = dict(state.statistics), Metrics()
        finite = jnp.bool_(True)
        for part in self.parts:
            mine = {path: state.params[path] for path in self.layout.trained[part.name]}
            gradients, outcome, counts = self._gradients(part, mine, state, frozen, batch, key)
            options = self.recipe.optimizer_of(part.name)
            rate = learning_rate(options, state.step, self.recipe.steps, self.restarted)
            update, moved = transformation(options).update(gradients, moments[part.name], mine)
            going = state.step >= options.frozen_steps
            moments[part.name] = _choose(going, moved, moments[part.name])
            params |= {
                path: leaf - jnp.where(going, rate, 0) * update[path] for path, leaf in mine.items()
            }
            statistics |= outcome.statistics
            norm = optax.tree.norm(gradients)
            loss = loss_of(part, outcome, counts)
            finite &= jnp.isfinite(norm) & jnp.isfinite(loss)
            metrics |= {
                f"{part.name}.loss": loss,
                f"{part.name}.gradient_norm": norm,
                f"{part.name}.rate": rate,
            }
            metrics |= {
                f"{part.name}.{name}": share(term.total, counts[name])
                for name, term in outcome.terms.items()
            }
        average = state.average
        if self.recipe.average is not None:
            average = averaged(average, params, state.step, self.recipe.average)
        new = State(state.step, params, statistics, moments, average)
        kept = _choose(finite, new, state)
        metrics["finite"] = finite
        return self.placement.constrain(kept._replace(step=state.step + 1)), metrics

    def _gradients(
        self, part: Part, mine: Leaves, state: State, frozen: Leaves, batch: Batch, key: jax.Array
    ) -> tuple[Leaves, Outcome, dict[str, jax.Array]]:
        """Gradients, terms and counts of the whole batch, accumulated over its micro-batches."""
        others = {path: leaf for path, leaf in state.params.items() if path not in mine}

        def outcome_of(leaves: Leaves, piece: Batch) -> Outcome:
            moving = self.layout.cast(
                self.placement.gather({**others, **leaves}), self.recipe.compute
            )
            tree = self.layout.tree(frozen, moving, state.statistics)
            found = part.loss(tree, piece, key)
            return Outcome(found.terms, dict(found.statistics))

        def objective(leaves: Leaves, piece: Batch, counts: Any) -> tuple[jax.Array, Outcome]:
            found = outcome_of(leaves, piece)
            if counts is None:
                counts = {name: term.count for name, term in found.terms.items()}
            return loss_of(part, found, jax.lax.stop_gradient(counts)), found

        gradient = jax.grad(objective, has_aux=True)
        if self.recipe.batch.pieces == 1:
            gradients, outcome = gradient(mine, jax.tree.map(lambda a: a[0], batch), None)
            return gradients, outcome, {name: t.count for name, t in outcome.terms.items()}

        # Counts of all micro-batches come first, so that each one's sums can be divided by the
        # counts of the whole batch. Nothing else of this pass is used, so XLA removes the rest of
        # it.
        def count(total: Any, piece: Batch) -> tuple[Any, None]:
            terms = outcome_of(mine, piece).terms
            return {name: total[name] + term.count for name, term in terms.items()}, None

        shapes = jax.eval_shape(outcome_of, mine, jax.tree.map(lambda a: a[0], batch))
        none = {name: jnp.float32(0) for name in shapes.terms}
        counts, _ = jax.lax.scan(count, none, batch)

        def add(total: Any, piece: Batch) -> tuple[Any, None]:
            found = gradient(mine, piece, counts)
            return jax.tree.map(jnp.add, total, found), None

        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), (mine, shapes))
        (gradients, outcome), _ = jax.lax.scan(add, zeros, batch)
        pieces = self.recipe.batch.pieces
        means = {p: (v / pieces).astype(v.dtype) for p, v in outcome.statistics.items()}
        return gradients, Outcome(outcome.terms, means), counts


def _choose(first: Any, one: Any, other: Any) -> Any:
    """Selects `one` if `first` is true, else `other`, for each leaf."""
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)
