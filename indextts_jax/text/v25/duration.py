"""Estimates how long a text of any language takes to speak."""

import re

from indextts_jax.text.duration import FAST, SLOW, Duration, duration
from indextts_jax.text.v25.markup import SPAN
from indextts_jax.text.v25.special_tokens import SPECIAL_TOKENS

_SYLLABLES = 0.55  # of a letter, in a script that `duration` does not know, such as Arabic
_DIGIT = 2.0  # syllables of a digit that is not in words: 25 is veinticinco
_DIGITS = re.compile(r"\d")
_KNOWN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]|[A-Za-zÀ-ɏ0-9]")
_LETTER = re.compile(r"[^\W\d_]")
_TOKEN = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))


def spoken_duration(text: str) -> Duration:
    """The seconds that a text takes as version 2.5 reads it, with a syllable for each reading."""
    spoken = _TOKEN.sub("", SPAN.sub("字", text))
    least, most = duration(spoken)
    others = len(_LETTER.findall(_KNOWN.sub("", spoken)))
    more = others * _SYLLABLES + _DIGIT * len(_DIGITS.findall(spoken))
    return Duration(least + more / FAST, most + more / SLOW)
