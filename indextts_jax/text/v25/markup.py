"""Readings given in the text, `<word|reading>`, as the special tokens of version 2.5."""

import re

from indextts_jax.text.rules.spans import MARKUP
from indextts_jax.text.v25.special_tokens import PHONEMES, PINYIN

_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
_KANA = re.compile("[\u3040-\u309f]+|[\u30a0-\u30ff]+")
_NAMED = re.compile(r"<\|([^|]+)\|>")
SPAN = re.compile(r"<\|SPECIAL_TOKEN_\d+\|>.*?<\|SPECIAL_TOKEN_\d+\|>", re.DOTALL)


def is_kana(reading: str) -> bool:
    """Whether a reading is all hiragana or all katakana (with the long mark)."""
    return bool(_KANA.fullmatch(reading))


def marked(word: str, reading: str) -> str:
    """What stands for a word that is to be read in a given way.

    Kana stand between spaces; other readings between special tokens, those of ideographs (pinyin)
    between other ones than those of other words (phonemes).

    Source: `apply_pronunciation_annotations` of the PyTorch release.
    """
    reading = reading.upper()
    if is_kana(reading):
        return f" {reading} "
    token = PINYIN if _IDEOGRAPH.search(word) else PHONEMES
    return f"{token}{reading}{token}"


def apply_markup(text: str) -> str:
    """The text with each `<word|reading>` replaced by its reading."""

    def replace(match: re.Match[str]) -> str:
        word, reading = match[0][1:-1].split("|", 1)
        return marked(word, reading)

    return MARKUP.sub(replace, text)


def upper_names(text: str) -> str:
    """The text with the names of special tokens in upper case: `<|sad|>` is the token `<|SAD|>`.

    Those with lower-case letters in their names (`<|en|>`) so become ordinary text.
    """
    return _NAMED.sub(lambda match: f"<|{match[1].upper()}|>", text)


def unreadable(text: str, code: str) -> list[str]:
    """Warnings, a line each, about mark-up that has no effect in a language.

    Splitting Japanese into words breaks special tokens, so that only kana are left.
    """
    if code != "ja":
        return []
    readings = [m[0] for m in MARKUP.finditer(text) if not is_kana(m[0][1:-1].split("|", 1)[1])]
    return [
        f"{item}: in Japanese only a reading in kana has an effect; this one is read as written"
        for item in [*readings, *(match[0] for match in _NAMED.finditer(text))]
    ]
