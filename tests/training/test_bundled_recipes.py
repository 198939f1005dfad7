"""Each bundled recipe has the options that its objective takes."""

import pytest

from indextts_jax.config import bundled_config
from indextts_jax.training.loop.batches import rows_of
from indextts_jax.training.objectives import registry
from indextts_jax.training.parameters import Source
from indextts_jax.training.recipe import bundled, load_recipe


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_recipe_makes_its_objective(name: str) -> None:
    recipe = load_recipe(name)
    if recipe.model is not None:
        source = Source(recipe, None)
        config, components = source.config, source.components
    else:
        config, components = bundled_config("indextts2"), ("gpt", "training_heads")
    objective = registry.build(recipe.objective, config, recipe.options, components)
    assert objective.needs
    assert all(part.trains for part in objective.parts)
    drawn = set(recipe.scratch)
    assert drawn <= set(objective.components)
    assert rows_of(recipe.batch, recipe.batch.buckets[-1]) >= 2
