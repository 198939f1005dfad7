import re

import numpy as np
import pytest
import support
import text25

from indextts_jax.errors import InputError
from indextts_jax.text.v25.language_codes import CODES, TAGGED
from indextts_jax.text.v25.languages import (
    detect_language,
    language_code,
    language_row,
    language_tag,
)

OTHERS = text25.rows(support.DATA / "text" / "v25" / "other_languages.jsonl")


def test_codes_have_the_rows_of_the_release():
    assert len(CODES) == 106 == len(set(CODES))
    assert CODES[TAGGED - 1 :] == (
        *("su", "yue", "minnan", "wuyu", "dialect", "zh/en", "en/zh", "common"),
    )
    rows = {"en": 0, "zh": 1, "es": 3, "ja": 7, "ar": 13, "yue": 99, "common": 105, "xx": 105}
    assert {code: language_row(code) for code in rows} == rows


def test_recorded_rows_are_these():
    with np.load(text25.TINY / "tensors" / "text.npz") as arrays:
        recorded = arrays["lang_ids"].tolist()

    assert [language_row(row["lang"].lower()) for row in text25.TINY_ROWS[:10]] == recorded


@pytest.mark.parametrize("name", ["zh", "EN", "Ja", " es ", "AUTO", "yue", "zh/en"])
def test_names_of_languages_are_taken_in_any_case(name):
    assert language_code(name) == name.strip().lower()


@pytest.mark.parametrize("name", ["", "xx", "zhen", "english", "en|zh", "zh-CN"])
def test_a_language_that_the_version_lacks_is_refused_in_one_line(name):
    message = f"language {name!r}: expected auto, zh, en, ja, es or ar, or another of the 106 codes"
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        language_code(name)
    assert caught.value.fields == ("language",)
    assert "\n" not in str(caught.value)


def test_with_text_compat_any_name_is_a_language_as_in_the_release():
    assert language_code("ZHEN", compat=True) == "zhen"
    assert language_tag("xx") == "<|xx|> "


@pytest.mark.parametrize("name", ["", "e|n"])
def test_a_name_that_is_not_a_word_is_refused_with_text_compat_too(name):
    with pytest.raises(InputError, match="expected auto"):
        language_code(name, compat=True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("今天天气很好。", "zh"),
        ("Hello!", "en"),
        ("航班MU5137延误了", "zh"),
        ("I like 北京 and 上海 very much", "en"),
        ("今日は良い天気です", "ja"),
        ("ｶﾀｶﾅ", "ja"),
        ("GoogleでAIについて調べた。", "ja"),
        ("The word こんにちは means hello.", "en"),
        ("我喜欢那部叫做の的动画片,今天天气很好,我们一起去公园散步", "zh"),
        ("مرحبا", "ar"),
        ("البريد الإلكتروني: info@example.com", "ar"),
        ("he said مرحبا to me", "en"),
        ("¿Qué?", "es"),
        ("el perro de la casa", "es"),
        ("I like café", "en"),
        ("<minute|きょう>", "en"),
        ("2024, 305.", "zh"),
        ("😀", "zh"),
        ("", "zh"),
    ],
)
def test_the_language_of_a_text_follows_from_its_script(text, code):
    assert detect_language(text) == code


def test_the_sentences_of_each_language_are_detected():
    assert [row["input"] for row in OTHERS if detect_language(row["input"]) != row["lang"]] == []


@pytest.mark.parametrize(
    ("text", "script"), [("привет мир", "cyrillic"), ("안녕하세요", "hangul"), ("สวัสดี", "thai")]
)
def test_other_scripts_are_not_guessed(text, script):
    with pytest.raises(InputError, match=rf"a text in {script} letters cannot be detected: give"):
        detect_language(text)
