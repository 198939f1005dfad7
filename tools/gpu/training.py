"""Steps of the training recipes, lowered for a device that is not there: shapes alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from indextts_jax.config import ModelConfig
from indextts_jax.models.components import COMPONENTS, TRAINING, structure
from indextts_jax.training.loop.batches import Chosen, collate, rows_of
from indextts_jax.training.loop.session import with_multiple
from indextts_jax.training.loop.setup import Setup, set_up
from indextts_jax.training.loop.sharding import Placement
from indextts_jax.training.loop.state import leaves_of
from indextts_jax.training.objectives import registry
from indextts_jax.training.objectives.base import Objective
from indextts_jax.training.recipe import Recipe, load_recipe
from tools.gpu.clips import TOKENS_PER_SECOND, Clips

RECIPES = ("gpt_lora", "gpt_full", "flow_lora", "flow_full", "vocoder_full")


@dataclasses.dataclass(frozen=True)
class Step:
    """A recipe's step on a model of some sizes."""

    recipe: Recipe
    config: ModelConfig

    @classmethod
    def of(cls, name: str, config: ModelConfig, changes: Mapping[str, str]) -> "Step":
        """That of a bundled recipe, with values changed by path.

        Raises:
            InputError: for an unknown recipe or key.
        """
        recipe = with_multiple(load_recipe(name, changes), 1)
        return cls(dataclasses.replace(recipe, steps=recipe.steps or 1000), config)

    @property
    def buckets(self) -> tuple[float, ...]:
        """Seconds that rows may be padded to; each is a program of its own."""
        return self.recipe.batch.buckets

    def rows(self, bucket: float) -> int:
        """Rows of a batch."""
        return rows_of(self.recipe.batch, bucket)

    def lower(
        self, bucket: float, device: jax.Device, tokens_per_second: float = TOKENS_PER_SECOND
    ) -> jax.stages.Lowered:
        """The step as a run compiles it; the state is given away to it, as there."""
        batch = self._batch(bucket, tokens_per_second)
        setup = self._setup(batch)
        placement = Placement.on([device])

        def there(tree: Any, place: Any) -> Any:
            return jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), tree
            )

        step = dataclasses.replace(setup, placement=placement).stepper

        def run(*arrays: Any) -> Any:  # XLA's dumps are chosen by this name
            return step(*arrays)

        everywhere = placement.everywhere
        arrays = (there(tree, everywhere) for tree in (setup.state, setup.frozen, batch))
        return jax.jit(run, donate_argnums=(0,)).lower(*arrays)

    def _objective(self) -> Objective:
        names = (*COMPONENTS, *TRAINING)
        recipe = self.recipe
        return registry.build(recipe.objective, self.config, recipe.options, names)

    def _batch(self, bucket: float, tokens_per_second: float) -> Any:
        """What the objective makes of clips that fill the bucket."""
        clips: Any = Clips.of(self.rows(bucket), bucket, self.config, tokens_per_second)
        chosen = Chosen(clips.rows, bucket, 0)
        return collate(self._objective(), clips, chosen, self.recipe, 0)

    def _setup(self, batch: Any) -> Setup:
        """The run before its first step, with shapes for arrays."""
        objective, made = self._objective(), {}
        names = objective.components
        params = {name: structure(name, self.config).expected for name in names}
        half = {name: structure(name, self.config, "bfloat16").expected for name in names}
        tables = {p for p, leaf in leaves_of(half)[0].items() if leaf.dtype == jnp.float32}
        here = Placement.on(jax.local_devices(backend="cpu")[:1])

        def begin(params: Any) -> Any:
            setup = made["setup"] = set_up(self.recipe, objective, params, tables, batch, here)
            return setup.state, setup.frozen

        state, frozen = jax.eval_shape(begin, params)
        return dataclasses.replace(made["setup"], state=state, frozen=frozen)
