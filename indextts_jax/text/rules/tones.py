"""Pinyin with tone marks above the vowels: nǐ hǎo."""

import re
import unicodedata
from collections.abc import Callable

from indextts_jax.text.rules.pinyin import spell

_TONES = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-zÀ-ÖØ-öø-ɏ'’]*[À-ÖØ-öø-ɏ][A-Za-zÀ-ÖØ-öø-ɏ'’]*(?![0-9])")
_CLEAR = re.compile("[āēīōūǎěǐǒǔǖǘǚǜĀĒĪŌŪǍĚǏǑǓ]")  # rare in other languages
_LONGEST = 6  # letters of a syllable
_WORD_LETTERS = 60  # longest word that is examined


def toned_words(text: str, chinese: bool, keep: Callable[[str], str]) -> str:
    """Respells pinyin with tone marks as the vocabulary does: `nǐ` is NI3.

    In an English text `café` and `Māori` stay: every syllable must have a tone there, and at least
    one word a mark that is rare in other languages.
    """
    if not _CLEAR.search(text) and not chinese:
        return text
    clear = chinese or any(
        _CLEAR.search(word[0]) and syllables(word[0], neutral=False)
        for word in _WORD.finditer(text)
    )
    if not clear:
        return text

    def pinyin(match: re.Match[str]) -> str:
        spelt = syllables(match[0], neutral=chinese)
        return keep("".join(spelt)) if spelt else match[0]

    return _WORD.sub(pinyin, text)


def syllables(word: str, neutral: bool) -> list[str] | None:
    """The syllables of a word in the vocabulary's spelling, or None if it is not pinyin.

    A syllable without a mark has the neutral tone, if `neutral` allows it; at least one has a mark.
    """
    letters: list[tuple[str, str]] = []
    for character in word:
        decomposed = unicodedata.normalize("NFD", character)
        base, marks = decomposed[0], decomposed[1:]
        tone = "".join(_TONES.get(mark, "") for mark in marks)
        letters.append(("ü" if "\u0308" in marks else base, tone))
    if len(letters) > _WORD_LETTERS or not any(tone for _, tone in letters):
        return None
    return _split(letters, neutral)


def _split(letters: list[tuple[str, str]], neutral: bool) -> list[str] | None:
    if not letters:
        return []
    if letters[0][0] in "'’":
        return _split(letters[1:], neutral)
    for size in range(min(_LONGEST, len(letters)), 0, -1):
        tone = "".join(tone for _, tone in letters[:size])
        if len(tone) > 1 or (not tone and not neutral):
            continue
        spelt = spell("".join(letter for letter, _ in letters[:size]) + (tone or "5"))
        rest = spelt and _split(letters[size:], neutral)
        if spelt and rest is not None:
            return [spelt, *rest]
    return None
