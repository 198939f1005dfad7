"""What the grammar that the reference pins reads otherwise than wetext, as it was recorded."""

import json

import pytest
import support

from indextts_jax.text.reference.older_grammar import (
    read_chinese,
    read_english,
    read_thousands,
)
from indextts_jax.text.rules.verbalise import verbalise_as_reference

LINES = (support.DATA / "text" / "older_grammar.jsonl").read_text(encoding="utf-8").splitlines()
ROWS = [json.loads(line) for line in LINES]


def in_english(text):
    return read_english(text, lambda part: verbalise_as_reference(part, "en"))


def in_chinese(text):
    return read_chinese(text, lambda part: verbalise_as_reference(part, "zh"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["input"][:30])
def test_a_text_is_read_as_by_the_older_grammar(row):
    if row["lang"] == "en":
        assert in_english(row["input"]) == row["output"]
    else:
        assert in_chinese(row["input"]) == row["output"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("'hello' she said", "' hello' she said"),
        ("<b>bold</b> text", "<b> bold</b> text"),
        ("[tag] it", "[tag] it"),
        ("say 'hi'", "say 'hi'"),
        ("you're I'm", "you are I am"),
        ("YOU're I'M", "YOU're I'M"),
        ("snake_case or a|b", "snake_case or a|b"),
        ("a __init__ b", "a __init__ b"),
        ("one  two\t\tthree", "one two three"),
        ("at 12,15 PM", "at twelve,fifteen PM"),
        ("...", "..."),
    ],
)
def test_signs_spaces_and_contractions_are_the_older_grammar_s(text, read):
    assert in_english(text) == read


@pytest.mark.parametrize("text", ["12,34", "1,2345", "10%,200", "￥1,234", "3.14,159", "0,123"])
def test_other_commas_are_left(text):
    assert read_thousands(text) == text


def test_numerals_written_in_ideographs_stay():
    assert in_chinese("一千二百人") == "一千二百人"
    assert in_chinese("1200人") == "一千两百人"
