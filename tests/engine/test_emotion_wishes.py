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
from indextts_jax.emotion.request import OPTIONS, Emotion, explain_unused
from indextts_jax.emotion.vectors import normalize_weights, random_rows
from indextts_jax.engine import tts as engine
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.voices.analysis import EmotionPrompt, Voice

PROMPT = EmotionPrompt(jnp.full((1, 64), 3.0))
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


@pytest.mark.parametrize("given", list(itertools.product((False, True), repeat=6)))
def test_combinations_match_the_modes_of_the_reference(tts, monkeypatch, given):
    asked = dict(zip(OPTIONS, given, strict=True))
    seen = []

    def stop(model, voice, emotion, seed):
        seen.append(emotion)
        assert seed == SEED
        raise Asked

    monkeypatch.setattr(engine, "emotion_vector", stop)
    values = {
        "text": "So tired.",
        "weights": WEIGHTS,
        "prompt": PROMPT,
        "alpha": 0.3,
        "random": True,
        "bias": True,
    }
    emotion = Emotion(**{name: values[name] for name, there in asked.items() if there})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Asked):
            tts.speak("Hello.", voice(), emotion=emotion, seed=SEED)
    (ours,) = seen
    weights = READ if asked["text"] else tuple(WEIGHTS) if asked["weights"] else None
    by_weights = weights is not None
    prompt = asked["prompt"] and not by_weights
    assert ours == Emotion(
        weights=weights,
        prompt=PROMPT if prompt else None,
        alpha=0.3 if asked["alpha"] and (by_weights or prompt) else None,
        random=asked["random"] and by_weights,
        bias=asked["bias"] and asked["weights"] and not asked["text"],
    )
    said = " ".join(str(warning.message) for warning in caught)
    assert said == explain_unused(emotion)


def test_random_rows_are_taken_of_each_emotion(tts):
    """The weighted rows of the matrix, and what the weights leave of the voice's own emotion."""
    table = np.asarray(tts.model.params["emotion_prototypes"]["emotion"])
    groups = tts.model.config.emotion_prototypes.groups
    starts = np.cumsum(groups) - groups
    random_generator = np.random.default_rng(0)
    own = jnp.asarray(random_generator.normal(size=(1, 64)), jnp.float32)
    speaker = voice(base=own, own=own, style=jnp.ones((1, 192)))
    rows = random_rows(groups, random.Random(SEED))
    emotion = Emotion(weights=WEIGHTS, random=True)
    ours = emotion_vector(tts.model, speaker, emotion, SEED)
    plainly = np.asarray(WEIGHTS) @ table[starts + rows] + (1 - sum(WEIGHTS)) * own
    np.testing.assert_allclose(ours, plainly, rtol=1e-5, atol=1e-6)


def test_bias_tones_given_weights_down(tts):
    own = jnp.ones((1, 64))
    speaker = voice(base=own, own=own, style=jnp.ones((1, 192)))
    biased = emotion_vector(tts.model, speaker, Emotion(weights=WEIGHTS, bias=True))
    toned = emotion_vector(tts.model, speaker, Emotion(weights=normalize_weights(WEIGHTS)))
    np.testing.assert_array_equal(biased, toned)
