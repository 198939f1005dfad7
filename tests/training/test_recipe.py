"""Recipes: strict, changed by path, and what a run may change on the way."""

import pytest

from indextts_jax.errors import InputError
from indextts_jax.training.recipe import bundled, changed_keys, load_recipe, parse_recipe

TEXT = """
objective: gpt
steps: 100
batch: {seconds: 30, buckets: [5, 10]}
optimizer: {rate: 1e-4}
"""


def test_a_value_is_changed_by_its_path() -> None:
    recipe = parse_recipe(TEXT, "r", {"optimizer.rate": "5e-5", "log.every": "3", "options.x": "1"})
    assert (recipe.optimizer.rate, recipe.log.every, recipe.options) == (5e-5, 3, {"x": 1})


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("optimizer.speed", "1", "unknown key optimizer.speed"),
        ("optimizer.rate", "fast", "optimizer.rate: expected float, got str 'fast'"),
        ("optimizer.rate", "0", "optimizer.rate must be positive"),
        ("batch.buckets", "[9, 5]", "batch.buckets must increase"),
        ("batch.buckets", "[1, 2, 3, 4, 5]", "expected 1 to 4"),
        ("batch.seconds", "3", "less than the longest"),
        ("compute", "float16", "float16 overflows"),
        ("steps.more", "1", "steps is a value without keys"),
    ],
)
def test_problems_are_reported_by_path(key: str, value: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_recipe(TEXT, "r", {key: value})


def test_changeable_settings_are_not_compared() -> None:
    before = parse_recipe(TEXT, "r")
    free = {"log.every": "1", "saves.every": "7", "evaluation.patience": "null"}
    assert changed_keys(before, parse_recipe(TEXT, "r", free)) == []
    other = parse_recipe(TEXT, "r", {"seed": "1", "options.x": "2"})
    assert changed_keys(before, other) == ["options.x", "seed"]


def test_an_unknown_recipe_lists_the_bundled_ones() -> None:
    with pytest.raises(InputError, match="gpt_lora"):
        load_recipe("gpt_laura")


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_recipe_can_be_read(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.steps + recipe.epochs > 0
