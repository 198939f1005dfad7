"""Normalises a text as the PyTorch reference does."""

import re

from indextts_jax.text.glossary import Glossary
from indextts_jax.text.reference.older_grammar import read_chinese, read_english
from indextts_jax.text.reference.protect import (
    protect_markup,
    protect_names,
    protect_pinyin,
    protect_terms,
    restore_terms,
)
from indextts_jax.text.rules.charmap import map_characters
from indextts_jax.text.rules.contractions import expand_is
from indextts_jax.text.rules.pinyin import TONED
from indextts_jax.text.rules.verbalise import verbalise_as_reference

_IDEOGRAPH = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[A-Za-z]")
_EMAIL = re.compile(r"[A-Za-z0-9]+@[A-Za-z0-9]+\.[A-Za-z]+\n?")


def is_chinese(text: str) -> bool:
    """Whether the reference normalises a text as Chinese.

    It does if the text has an ideograph, no letter, or pinyin with tones, and (a quirk) if it is a
    plain e-mail address.

    Source: `TextNormalizer.use_chinese` of the PyTorch release.
    """
    return bool(
        _IDEOGRAPH.search(text)
        or not _LETTER.search(text)
        or _EMAIL.fullmatch(text)
        or TONED.search(text)
    )


def normalise_as_reference(text: str, glossary: Glossary | None = None) -> str:
    """The text as the reference passes it to its tokenizer.

    The agreement is limited by `wetext`, whose grammar is newer than the one that the reference
    pins; the tests list the differences.

    Source: `TextNormalizer.normalize` of the PyTorch release.
    """
    text, markup = protect_markup(text)
    chinese = is_chinese(text)
    text = expand_is(text)
    if glossary:
        text = glossary.apply_as_reference(text, "zh" if chinese else "en")
    text = _chinese(text) if chinese else _english(text)
    return markup.restore(map_characters(text, chinese=chinese))


def _chinese(text: str) -> str:
    text, pinyin = protect_pinyin(protect_terms(text.rstrip()))
    text, names = protect_names(text)
    try:
        text = read_chinese(text, lambda part: verbalise_as_reference(part, "zh"))
    except ValueError:
        return ""  # as in the reference: text without a reading is dropped
    return restore_terms(pinyin.restore(names.restore(text)))


def _english(text: str) -> str:
    protected = protect_terms(text)
    try:
        protected = read_english(protected, lambda part: verbalise_as_reference(part, "en"))
    except ValueError:
        return text
    return restore_terms(protected)
