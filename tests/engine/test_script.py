"""What the library says of a text before it speaks."""

import pytest
from models_under_test import model

from indextts_jax.engine.tts import IndexTTS, Settings
from indextts_jax.errors import InputError
from indextts_jax.text.glossary import Glossary


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


def test_a_text_is_read_by_the_settings(tts: IndexTTS) -> None:
    terms = Glossary.of({"nginx": "engine X"})

    assert tts.script("3 nginx").normalised == "three nginx"
    assert tts.script("3 nginx", Settings(glossary=terms)).normalised == "three engine X"
    assert tts.script("A100 GPU", Settings(text_compat=True)).normalised == "A1零零 GPU"


def test_pauses_come_from_the_text_and_the_settings(tts: IndexTTS) -> None:
    script = tts.script(
        "One, two. Three, four. [pause 0.8s] Five.", Settings(segment_tokens=8, pause=0.3)
    )

    pauses = [segment.pause for segment in script.segments]
    assert pauses[-2:] == [0.8, 0.0]
    assert set(pauses[:-2]) == {0.3}


def test_segments_respect_the_limit_of_the_model(tts: IndexTTS) -> None:
    text = "The cat sat on the mat. " * 40
    holds = tts.model.config.gpt.max_text_tokens

    assert max(map(len, tts.segments(text))) <= min(120, holds)
    with pytest.raises(InputError, match="the segment length must be 1 to"):
        tts.segments(text, holds + 1)


def test_strict_refuses_what_is_unknown(tts: IndexTTS) -> None:
    assert tts.unknown("Hi Ж") == ["Ж"]
    with pytest.raises(InputError, match="does not know Ж at character 4"):
        tts.script("Hi Ж", Settings(strict_text=True))


@pytest.mark.parametrize("text", ["", "  ", "...", "[pause 1s]"])
def test_a_text_with_nothing_to_say_is_refused(tts: IndexTTS, text: str) -> None:
    with pytest.raises(InputError, match="there is nothing to speak"):
        tts.script(text)
