"""Texts as `synth` would read them, and what is counted in them."""

import pytest
import support

from indextts_jax.text.frontend import TextFrontend
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.training.data.rows import texts
from indextts_jax.training.data.rows.texts import Reader

TOKENIZER = Tokenizer(support.CHECKPOINTS / "bpe.model")


def read(text: str) -> texts.ReadText:
    return Reader(TOKENIZER, support.tiny_config(), compat=False, glossary=None).read(text)


def test_tokens_are_those_of_synth() -> None:
    text = "At 7:05 it cost $3. Then we left, all of us."
    script = TextFrontend(TOKENIZER).prepare(text)
    found = read(text)
    assert found.tokens == tuple(n for segment in script.segments for n in segment.ids)
    assert found.spoken == script.normalised
    assert "seven" in found.spoken


def test_a_long_text_is_one_run_of_tokens() -> None:
    text = "This is a sentence that goes on for a while. " * 12
    assert len(read(text).tokens) > 120
    assert read(text).fault == ""


@pytest.mark.parametrize(("text", "fault"), [("", "empty"), (" \n", "empty"), ("?!", "letters")])
def test_texts_without_words_are_useless(text: str, fault: str) -> None:
    assert read(text).fault == fault


def test_a_pause_that_cannot_be_read_is_a_fault() -> None:
    found = read("Wait [pause 3 years] here.")
    assert found.fault == "unreadable" or found.tokens  # whatever `synth` does


def test_letters_count_ideographs_as_three() -> None:
    assert texts.letters("Oh, no! 7") == 5
    assert texts.letters("你好") == 6


def test_repeats() -> None:
    assert texts.repeated_word("no no No, no yes") == ("no", 4)
    assert texts.repeated_word("") == ("", 0)
