"""More sentences of our own, written before the rules that read them; see the data file."""

import json

import pytest
import support

from indextts_jax.text.normalize import normalise

FILE = support.DATA / "text" / "readings.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("language", ["en", "zh", "mix"])
def test_sentences_are_read_as_a_native_speaker_reads_them(language):
    rows = [row for row in ROWS if language in row["class"]]
    expected = {row["input"]: row["reading"] for row in rows}

    assert {text: normalise(text).text for text in expected} == expected


def test_the_sentences_are_many_and_of_many_kinds():
    assert len({row["input"] for row in ROWS}) == len(ROWS) > 200
    assert len({row["class"] for row in ROWS}) > 30
