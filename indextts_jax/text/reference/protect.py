"""Spans that the grammars must not touch: taken out of a text before, put back after."""

import re
from collections.abc import Callable

from indextts_jax.text.rules.pinyin import TONED, respell
from indextts_jax.text.rules.spans import MARKUP

_TERM = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)+")
_NAME = re.compile(r"[\u4e00-\u9fff]+(?:[-·—][\u4e00-\u9fff]+){1,2}")
_HYPHEN = "<H>"


class Protected:
    """Placeholders in a text and what they stand for; `restore` puts it back."""

    def __init__(self, spans: dict[str, str], change: Callable[[str], str] = str):
        self._spans, self._change = spans, change

    def restore(self, text: str) -> str:
        """The text with each placeholder replaced by what it stands for."""
        for placeholder, span in self._spans.items():
            text = text.replace(placeholder, self._change(span))
        return text


def protect_markup(text: str) -> tuple[str, Protected]:
    """A text whose `<word|pronunciation>` are placeholders of letters, and what they stand for.

    Source: `TextNormalizer` of the PyTorch release.
    """
    spans: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        placeholder = f"PRONPLACEHOLDER{_letters(len(spans))}PRONPLACEHOLDER"
        spans[placeholder] = match[0]
        return placeholder

    return MARKUP.sub(take, text), Protected(spans)


def protect_terms(text: str) -> str:
    """A text whose words with hyphens (`GPT-5-nano`) have a placeholder for each hyphen.

    Source: `TextNormalizer.save_tech_terms` of the PyTorch release.
    """
    for term in sorted(set(_TERM.findall(text)), key=lambda term: (-len(term), term)):
        text = text.replace(term, term.replace("-", _HYPHEN))
    return text


def restore_terms(text: str) -> str:
    """The text with the hyphens of `protect_terms` back, and no blanks around them."""
    return re.sub(rf"\s*{_HYPHEN}\s*", "-", text)


def protect_pinyin(text: str) -> tuple[str, Protected]:
    """A text whose syllables with tones are placeholders; they come back as `respell` has them.

    Source: `TextNormalizer.save_pinyin_tones` of the PyTorch release, longest syllable first (there
    the order is that of a set, which differs from run to run).
    """
    found = {match[0] for match in TONED.finditer(text)}
    return _replace(text, sorted(found, key=lambda s: (-len(s), s)), "<pinyin_{}>", respell)


def protect_names(text: str) -> tuple[str, Protected]:
    """A text whose foreign names (`克里斯托弗·诺兰`) are placeholders, and what they stand for.

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
