"""Reads and cuts a text exactly as the PyTorch release of version 2.5 does."""

import re
from collections.abc import Callable

from indextts_jax.text.glossary import Glossary
from indextts_jax.text.reference.normalize import normalise_as_reference
from indextts_jax.text.rules.charmap import map_characters
from indextts_jax.text.v25.japanese import split_words
from indextts_jax.text.v25.markup import SPAN, apply_markup, upper_names

_NORMALISED = ("zh", "zhen", "en")  # the text, not the code, decides between Chinese and English
_LOWERED = ("ja", *_NORMALISED)
_CLAUSE = re.compile(
    "[^，。！？、；：,.!?;:\n]*[，。！？、；：,.!?;:\n]|[^，。！？、；：,.!?;:\n]+"
)


def read_as_reference(
    text: str, code: str, glossary: Glossary | None = None, *, normalise: bool = True
) -> str:
    """The text as the reference cuts it into segments, for a language in lower case.

    The characters are mapped first, so that times and addresses lose their colons before they are
    put into words. Only Chinese and English are put into words; the reference leaves Spanish to a
    package that it does not install.

    Raises:
        InputError: for Japanese, if the packages of the extra `ja` are not installed.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    text = map_characters(text, chinese=False)
    if normalise and code in _NORMALISED:
        text = normalise_as_reference(text, glossary)
    if code in _LOWERED:
        text = text.lower()
    elif code == "es":
        text = text.upper()
    text = apply_markup(text)
    if code == "ja":
        text = split_words(text)
    return upper_names(text)


def split_as_reference(text: str, budget: int, count: Callable[[str], int]) -> list[str]:
    """The text in segments of at most `budget` tokens, as the reference cuts it.

    A reading between special tokens is never cut; a clause that is too long is cut anywhere. An
    empty text is one empty segment. `count` gives the tokens of a text.

    Source: `IndexTTS2.split_text_by_tokens` of the PyTorch release.
    """
    if count(text) <= budget:
        return [text]
    segments: list[str] = []
    for part in _parts(text, budget, count):
        if segments and count(segments[-1] + part) <= budget:
            segments[-1] += part
        else:
            segments.append(part)
    return segments


def _parts(text: str, budget: int, count: Callable[[str], int]) -> list[str]:
    parts, place = [], 0
    for span in SPAN.finditer(text):
        parts += _clauses(text[place : span.start()], budget, count)
        parts.append(span[0])
        place = span.end()
    return parts + _clauses(text[place:], budget, count)


def _clauses(text: str, budget: int, count: Callable[[str], int]) -> list[str]:
    clauses: list[str] = []
    for clause in _CLAUSE.findall(text):
        clauses += [clause] if count(clause) <= budget else _forced(clause, budget, count)
    return clauses


def _forced(clause: str, budget: int, count: Callable[[str], int]) -> list[str]:
    parts = [""]
    for character in clause:
        if parts[-1] and count(parts[-1] + character) > budget:
            parts.append("")
        parts[-1] += character
    return parts
