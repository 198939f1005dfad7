"""Chinese and English as version 2 reads them, with the readings of version 2.5."""

import pytest
import support
import text25

from indextts_jax.text.glossary import Glossary
from indextts_jax.text.v25.reading import read_words

ROWS = text25.rows(support.DATA / "text" / "v25" / "readings.jsonl")


def pinyin(*syllables):
    return "".join(f"<|SPECIAL_TOKEN_2|>{syllable}<|SPECIAL_TOKEN_2|>" for syllable in syllables)


def phonemes(reading):
    return f"<|SPECIAL_TOKEN_1|>{reading}<|SPECIAL_TOKEN_1|>"


def test_there_are_forty_sentences_of_each():
    assert [row["lang"] for row in ROWS] == ["zh"] * 40 + ["en"] * 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["input"][:30])
def test_a_sentence_is_read(row):
    words, warnings = read_words(row["input"], None, row["lang"])

    assert words == row["reading"]
    assert warnings == ()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("去<行|xing2>", "去" + pinyin("XING2")),
        ("<女|nü3>人", pinyin("NV3") + "人"),
        ("<居|JU1>住", pinyin("JV1") + "住"),
        ("<银行|YIN2 HANG2>", pinyin("YIN2 HANG2")),
        ("银XING2", "银" + pinyin("XING2")),
        ("说ni3hao3吧", "说" + pinyin("NI3", "HAO3") + "吧"),
        ("a <record|r eh1 . k er0 d>", "a " + phonemes("R EH1 . K ER0 D")),
        ("<上手|じょうず>了", "じょうず 了"),
    ],
)
def test_readings_stand_between_special_tokens(text, read):
    assert read_words(text).text == read


@pytest.mark.parametrize(
    ("text", "read", "warning"),
    [
        ("去<行|XING9>", "去行", "<行|XING9>: XING9 is not pinyin with tones or kana"),
        ("a <b|NOPE>", "a b", "<b|NOPE>: NOPE is not phonemes of the CMU dictionary or kana"),
        ("<行|R EH1 D>", "行", "R EH1 D is not pinyin with tones or kana; 行 is read as written"),
    ],
)
def test_a_reading_that_does_not_exist_is_named(text, read, warning):
    words, warnings = read_words(text)

    assert words == read
    assert len(warnings) == 1
    assert warning in warnings[0]


def test_comparisons_are_not_readings():
    assert read_words("3<5|6>7", usual="en").text == (
        "three less than five vertical bar six greater than seven"
    )


def test_special_tokens_stay():
    assert read_words("Why<|sad|> me? <|TTS/B|>").text == "why<|SAD|> me? <|TTS/B|>"


def test_the_glossary_is_applied():
    glossary = Glossary.of({"C++": {"zh": "C加加", "en": "C plus plus"}})

    assert read_words("我学C++。", glossary).text == "我学c加加."
    assert read_words("I use C++.", glossary).text == "i use c plus plus."
