"""Passes what the rules leave to the grammars of `wetext`, in small pieces.

A grammar takes milliseconds per sentence, and its time grows faster than the length. So it gets
only the parts that it has to read, with a few characters around them.
"""

import re

from indextts_jax.text.rules.chinese import numbers
from indextts_jax.text.rules.spans import PLACE
from indextts_jax.text.rules.verbalise import Language, verbalise

_BREAK = "，。、；！？\n"
# Digits, what is between them, and a possible unit after them.
_CHINESE = re.compile(
    rf"[^\d{_BREAK}]{{0,6}}\d(?:[^{_BREAK}]{{0,8}}\d){{0,40}}[^\d{_BREAK}]{{0,8}}", re.ASCII
)
_ENGLISH = re.compile(r"[^,.;:!?\n]*[0-9@#$%^*_=+\\|~€£][^,.;:!?\n]*")
_CLAUSE = re.compile(rf"[^{_BREAK}]{{1,200}}")


def by_grammar(text: str, language: Language) -> str:
    """The text with digits and signs in words; Chinese in simplified characters."""
    parts = PLACE.split(text)
    places = PLACE.findall(text)
    read = _in_chinese if language == "zh" else _in_english
    words = [read(parts[0])]
    for place, part in zip(places, parts[1:], strict=True):
        words += [place, read(part)]
    return "".join(words)


def _in_chinese(text: str) -> str:
    text = _CHINESE.sub(lambda match: _read(match[0], "zh"), text)
    if not _simplified(text):
        text = _CLAUSE.sub(lambda match: _read(match[0], "zh"), text)
    return re.sub(r"\d+", lambda match: numbers.decimal(match[0]), text)


def _in_english(text: str) -> str:
    return _ENGLISH.sub(lambda match: _read(match[0], "en"), text)


def _simplified(text: str) -> bool:
    """Whether all characters are simplified: GB 2312 has no traditional ones."""
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _read(text: str, language: Language) -> str:
    bare = text.strip()
    if not bare:
        return text
    start = text[: text.index(bare)]
    try:
        return start + verbalise(bare, language) + text[len(start) + len(bare) :]
    except ValueError:
        return text
