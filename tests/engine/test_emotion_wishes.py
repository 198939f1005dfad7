"""What speaking makes of every combination of emotions that can be asked of it."""

import itertools
import random
import warnings
from typing import Any

import jax.numpy as jnp
import models_under_test
import numpy as np
import pytest
import support

from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.emotion.prompt import PromptTokenizer
from indextts_jax.emotion.reader import EmotionReader, Reading
from indextts_jax.emotion.vectors import normalize_weights, random_rows
from indextts_jax.engine import tts as engine
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.voices.analysis import Voice

PROMPT = jnp.full((1, 64), 3.0)
WEIGHTS = [0.5, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.125]
READ = (0.0, 0.7, 0.0, 0.0, 1.2, 0.0, 0.0, 0.0)  # more than one in all: that is left as it is
SEED = 5


class Asked(Exception):
    """Stops speaking once the emotion vector is asked for."""


class Reader(EmotionReader):
    """Reads the same of every text."""

    def read(self, text: str) -> Reading:
        assert text == "So tired."
        return Reading(READ, "", False)


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    model = models_under_test.model("tiny")
    data = (support.DATA / "qwen" / "tiny" / "tokenizer.json").read_bytes()
    return IndexTTS(model, Reader(model, PromptTokenizer(data)))


def voice(**parts: Any) -> Voice:
    """A voice of which nothing is there but these parts."""
    blank = object.__new__(Voice)
    for name, array in parts.items():
        object.__setattr__(blank, name, array)
    return blank


def expected(asked: dict[str, bool]) -> tuple[Any, ...]:
    """Prompt, alpha, weights and rows, from the reference's table of modes."""
    alpha = 0.3 if asked["alpha"] else None
    rows = random_rows((2, 3, 1, 2, 1, 2, 1, 3), random.Random(SEED)) if asked["random"] else None
    if asked["text"]:
        return None, alpha, READ, rows
    if asked["weights"]:
        weights = normalize_weights(WEIGHTS) if asked["bias"] else tuple(WEIGHTS)
        return None, alpha, weights, rows
    if asked["prompt"]:
        return PROMPT, alpha, None, rows
    return None, None, None, rows


@pytest.mark.parametrize("given", list(itertools.product((False, True), repeat=6)))
def test_every_combination_gives_what_the_reference_s_modes_say(tts, monkeypatch, given):
    names = ("text", "weights", "prompt", "alpha", "random", "bias")
    asked = dict(zip(names, given, strict=True))
    seen = []

    def stop(model, voice, *arguments):
        seen.append(arguments)
        raise Asked

    monkeypatch.setattr(engine, "emotion_vector", stop)
    wishes = {
        "emotion": PROMPT if asked["prompt"] else None,
        "emotion_alpha": 0.3 if asked["alpha"] else None,
        "emotion_weights": WEIGHTS if asked["weights"] else None,
        "emotion_text": "So tired." if asked["text"] else None,
        "emotion_random": asked["random"],
        "emotion_bias": asked["bias"],
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Asked):
            tts.speak("Hello.", voice(), **wishes, seed=SEED)
    prompt, alpha, weights, rows = seen[0]
    wanted = expected(asked)
    assert (prompt is None) == (wanted[0] is None)
    assert (alpha, weights and tuple(weights), rows) == wanted[1:]

    said = " ".join(str(warning.message) for warning in caught)
    mode = next((name for name in names[:3] if asked[name]), "own")
    dropped = {
        "emotion_weights is not": asked["weights"] and mode == "text",
        "emotion prompt is not": asked["prompt"] and mode in ("text", "weights"),
        "emotion_alpha needs": asked["alpha"] and mode == "own",
        "emotion_random needs": asked["random"] and mode in ("own", "prompt"),
        "emotion_bias needs": asked["bias"] and mode != "weights",
    }
    assert {words: words in said for words in dropped} == dropped


def test_random_rows_are_taken_of_each_emotion(tts):
    """The weighted rows of the matrix, and what the weights leave of the voice's own emotion."""
    table = np.asarray(tts.model.params["emotion_prototypes"]["emotion"])
    groups = tts.model.config.emotion_prototypes.groups
    starts = np.cumsum(groups) - groups
    random_generator = np.random.default_rng(0)
    own = jnp.asarray(random_generator.normal(size=(1, 64)), jnp.float32)
    speaker = voice(base=own, own=own, style=jnp.ones((1, 192)))
    rows = [size - 1 for size in groups]
    ours = emotion_vector(tts.model, speaker, None, None, WEIGHTS, rows)
    plainly = np.asarray(WEIGHTS) @ table[starts + rows] + (1 - sum(WEIGHTS)) * own
    np.testing.assert_allclose(ours, plainly, rtol=1e-5, atol=1e-6)
