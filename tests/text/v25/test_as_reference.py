"""Reading and cutting as the release does, row by row."""

import pytest
import support
import text25

from indextts_jax.text.frontend import TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.v25.as_reference import read_as_reference, split_as_reference
from indextts_jax.text.v25.frontend import MultilingualFrontend
from indextts_jax.text.v25.languages import language_row

RANDOM_ROWS = text25.rows(support.DATA / "text" / "v25" / "random_texts.jsonl")
TINY_POSITIONS = 120


def skip_without_japanese(rows):
    if any(row["lang"].lower() == "ja" for row in rows):
        text25.needs_japanese()


def script_of(tokenizer, row, positions):
    options = row["options"]
    limit = options.get("max_text_tokens_per_segment", 120)
    settings = TextSettings(compat=True, segment_tokens=limit)
    return MultilingualFrontend(tokenizer, settings, row["lang"], positions).prepare(row["input"])


def result(script):
    return {
        "segments": [segment.words for segment in script.segments],
        "ids": [[*segment.ids, 1] for segment in script.segments],
        "lang_id": {segment.language for segment in script.segments},
    }


def expected(row):
    return {"segments": row["segments"], "ids": row["ids"], "lang_id": {row["lang_id"]}}


def normalises(row):
    return row["options"].get("text_normalization", True)


@pytest.mark.parametrize("row", text25.TINY_ROWS, ids=lambda row: row["input"][:20])
def test_tiny_rows_are_the_reference_s(row):
    skip_without_japanese([row])
    read = read_as_reference(row["input"], row["lang"].lower(), normalise=normalises(row))
    assert read == row["text"]
    if normalises(row):
        assert result(script_of(text25.small(), row, TINY_POSITIONS)) == expected(row)


def test_published_rows_are_the_reference_s():
    skip_without_japanese(text25.PUBLISHED_ROWS)
    tokenizer = text25.published()
    rows = [row for row in text25.PUBLISHED_ROWS if normalises(row)]

    assert len(rows) == 384
    different = [r["input"] for r in rows if result(script_of(tokenizer, r, 600)) != expected(r)]
    assert different == []


def test_rows_without_normalisation_are_the_reference_s():
    rows = [row for row in text25.PUBLISHED_ROWS if not normalises(row)]

    assert len(rows) == 5
    for row in rows:
        assert read_as_reference(row["input"], row["lang"], normalise=False) == row["text"]


@pytest.mark.parametrize("row", text25.TINY_ROWS, ids=lambda row: row["input"][:20])
def test_recorded_readings_are_cut_as_in_the_reference(row):
    count = text25.small().count
    limit = min(row["options"].get("max_text_tokens_per_segment", 120), TINY_POSITIONS)
    budget = max(1, limit - count(f"<|{row['lang'].lower()}|> "))

    assert split_as_reference(row["text"], budget, count) == row["segments"]
    assert language_row(row["lang"].lower()) == row["lang_id"]


def test_random_texts_of_unread_languages_have_the_reference_s_ids():
    skip_without_japanese(RANDOM_ROWS)
    tokenizer = text25.published()

    assert len(RANDOM_ROWS) == 160
    for row in RANDOM_ROWS:
        positions = row["options"]["positions"] - 2
        assert result(script_of(tokenizer, row, positions)) == expected(row), row["input"]


def test_the_glossary_acts_on_chinese_and_english_only():
    glossary = Glossary.of({"AI": "人工智能"})

    assert read_as_reference("AI很强", "zh", glossary) == "人工智能很强"
    assert read_as_reference("AI很强", "yue", glossary) == "AI很强"
    assert read_as_reference("AI很强", "zh", glossary, normalise=False) == "ai很强"


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("zh", "don't straße i̇"),
        ("es", "DON'T STRASSE İ"),
        ("fr", "Don't Straße İ"),
        ("xx", "Don't Straße İ"),
    ],
)
def test_each_language_has_its_case(code, read):
    assert read_as_reference("Don't Straße İ", code, normalise=False) == read


def test_characters_are_mapped_before_numbers_are_read():
    assert read_as_reference("10:30的会议", "zh") == "十,三十的会议"
    assert read_as_reference("10:30", "es") == "10,30"


def test_an_empty_text_is_one_empty_segment():
    assert split_as_reference("", 118, text25.small().count) == [""]
    script = MultilingualFrontend(text25.small(), TextSettings(compat=True), "en").prepare("")
    assert [segment.ids for segment in script.segments] == [(678, 220)]
