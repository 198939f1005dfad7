"""Estimates how long a text takes to speak, from its syllables, without a model."""

import re
from typing import NamedTuple

FAST, SLOW = 5.5, 3.0  # syllables a second
_CHINESE = 0.8517  # factor on the time if there are ideographs or digits
_SYLLABLE_OF_ITS_OWN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]|(?<![A-Za-z])[0-9]")
_WORD = re.compile(r"[A-Za-zÀ-ɏ]+[1-5]?")
_VOWELS = re.compile(r"[aeiouyà-ɏ]+", re.IGNORECASE)


class Duration(NamedTuple):
    """Seconds of speech, for a fast and a slow speaker."""

    least: float
    most: float

    @property
    def usual(self) -> float:
        """The geometric mean of both."""
        return (self.least * self.most) ** 0.5


def duration(text: str) -> Duration:
    """The seconds that a normalised text takes.

    The syllables of a Latin word are its groups of vowels.

    Source: `get_text_tts_dur` of the PyTorch release.
    """
    own = len(_SYLLABLE_OF_ITS_OWN.findall(text))
    count = own + sum(map(_syllables, _WORD.findall(text)))
    share = _CHINESE if own else 1.0
    return Duration(count * share / FAST, count * share / SLOW)


def syllables(word: str) -> float:
    """The syllables of a word of any script; those of an unknown one by its letters, at least 1."""
    own = len(_SYLLABLE_OF_ITS_OWN.findall(word))
    latin = sum(map(_syllables, _WORD.findall(word)))
    return max(1.0, own + latin) if own + latin else max(1.0, len(word) / 2.5)


def _syllables(word: str) -> int:
    if word[-1].isdecimal():
        return 1  # pinyin
    groups = len(_VOWELS.findall(word))
    silent = word.lower().endswith("e") and not word.lower().endswith("le") and groups > 1
    if not groups:
        return len(word)  # spelled letter by letter
    return groups - silent
