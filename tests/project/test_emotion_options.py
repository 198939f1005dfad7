"""One more emotion option is one edit: a field of `Emotion`. All else is made from the fields."""

import dataclasses
from typing import Any

import pytest

from indextts_jax import synth
from indextts_jax.cli import emotion_flags, runner
from indextts_jax.emotion.request import OPTIONS, Emotion
from indextts_jax.engine import recipe
from indextts_jax.engine.recipe import Recipe, from_comment, to_comment
from indextts_jax.engine.recipe_text import format_recipe
from indextts_jax.engine.settings import Settings
from indextts_jax.utils.hashing import FileHash
from indextts_jax.voices.analysis import EmotionPrompt

FILE = FileHash(name="a.wav", size=3, sha256="0" * 64)
GIVEN: dict[str, Any] = {
    "text": "So tired.",
    "weights": (0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25),
    "prompt": EmotionPrompt(None, FILE, 1.5),
    "alpha": 0.3,
    "random": True,
    "bias": True,
}


def test_every_option_is_in_the_table_of_this_test() -> None:
    assert list(GIVEN) == list(OPTIONS) == [field.name for field in dataclasses.fields(Emotion)]


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_has_a_flag_with_its_help(name: str) -> None:
    flags = runner.parse([], synth.define)
    flag = flags[emotion_flags.NAMES[name].removeprefix("--")]
    assert flag.help == OPTIONS[name].metadata["help"]
    assert flag.name in emotion_flags.FLAGS
    assert flag.value in (None, False)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_kept_in_a_recipe_and_shown(name: str) -> None:
    def made(emotion: Emotion) -> Recipe:
        return Recipe(
            format=recipe.FORMAT,
            created="",
            versions=(),
            device="CPU",
            checkpoint="1" * 64,
            dtype=None,
            samples="2" * 64,
            text="Hello.",
            speaker=FILE,
            emotion=emotion,
            seed=0,
            settings=Settings(),
        )

    emotion = Emotion(**{name: GIVEN[name]})
    assert from_comment(to_comment(made(emotion)), "a.wav").emotion == emotion
    assert format_recipe(made(emotion)) != format_recipe(made(Emotion()))
