"""Spans that the grammars must not change: replaced by placeholders before, restored after."""

import re
from collections.abc import Callable

from indextts_jax.text.rules.pinyin import TONED, respell
from indextts_jax.text.rules.spans import MARKUP

_TERM = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)+")
_NAME = re.compile(r"[\u4e00-\u9fff]+(?:[-·—][\u4e00-\u9fff]+){1,2}")
_HYPHEN = "<H>"


class Protected:
    """Placeholders in a text and the spans that they replace; `restore` puts them back."""

    def __init__(self, spans: dict[str, str], change: Callable[[str], str] = str):
        self._spans, self._change = spans, change

    def restore(self, text: str) -> str:
        """The text with each placeholder replaced by its span."""
        for placeholder, span in self._spans.items():
            text = text.replace(placeholder, self._change(span))
        return text


def protect_markup(text: str) -> tuple[str, Protected]:
    """Replaces each `<word|pronunciation>` by a placeholder of letters.

    Source: `TextNormalizer` of the PyTorch release.
    """
    spans: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        placeholder = f"PRONPLACEHOLDER{_letters(len(spans))}PRONPLACEHOLDER"
        spans[placeholder] = match[0]
        return placeholder

    return MARKUP.sub(take, text), Protected(spans)


def protect_terms(text: str) -> str:
    """Replaces each hyphen within a word (`GPT-5-nano`) by a placeholder.

    Source: `TextNormalizer.save_tech_terms` of the PyTorch release.
    """
    for term in sorted(set(_TERM.findall(text)), key=lambda term: (-len(term), term)):
        text = text.replace(term, term.replace("-", _HYPHEN))
    return text


def restore_terms(text: str) -> str:
    """Restores the hyphens of `protect_terms`, without spaces around them."""
    return re.sub(rf"\s*{_HYPHEN}\s*", "-", text)


def protect_pinyin(text: str) -> tuple[str, Protected]:
    """Replaces syllables with tones by placeholders; `restore` spells them as `respell` does.

    Longest syllable first; the reference has the order of a set, which differs from run to run.

    Source: `TextNormalizer.save_pinyin_tones` of the PyTorch release.
    """
    found = {match[0] for match in TONED.finditer(text)}
    return _replace(text, sorted(found, key=lambda s: (-len(s), s)), "<pinyin_{}>", respell)


def protect_names(text: str) -> tuple[str, Protected]:
    """Replaces foreign names (`克里斯托弗·诺兰`) by placeholders.

    Source: `TextNormalizer.save_names` of the PyTorch release.
    """
    found = {match[0] for match in _NAME.finditer(text)}
    return _replace(text, sorted(found, key=lambda s: (-len(s), s)), "<n_{}>", str)


def _replace(
    text: str, spans: list[str], pattern: str, change: Callable[[str], str]
) -> tuple[str, Protected]:
    placeholders = {}
    for index, span in enumerate(spans):
        placeholder = pattern.format(chr(ord("a") + index))
        placeholders[placeholder] = span
        text = text.replace(span, placeholder)
    return text, Protected(placeholders, change)


def _letters(index: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(ord("a") + letter) + name
    return name
