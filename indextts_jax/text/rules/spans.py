"""Settled readings: placeholders in a text, which later rules cannot change."""

import functools
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

MARKUP = re.compile(r"<[^|>\n]+\|[^>\n]+>")

_FIRST = 0xF0000  # private plane of Unicode: neither a digit nor a letter to regular expressions
_LAST = 0xFFFFD
PLACE = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_WORD = re.compile(r"[A-Za-z0-9]")


class Rule(NamedTuple):
    """A pattern and its reading; a reading of None leaves the match to later rules."""

    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], str | None]


def rule(pattern: str, read: Callable[[re.Match[str]], str | None], flags: int = 0) -> Rule:
    """A rule with its pattern compiled; `\\d` and `\\w` match ASCII only."""
    return Rule(re.compile(pattern, flags | re.ASCII), read)


class Settled:
    """The readings found so far in one sentence."""

    def __init__(self) -> None:
        self._readings: list[str] = []

    def keep(self, reading: str) -> str:
        """Stores a reading and returns its placeholder."""
        if len(self._readings) > _LAST - _FIRST:
            return reading
        self._readings.append(reading)
        return chr(_FIRST + len(self._readings) - 1)

    def apply(self, rules: Iterable[Rule], text: str) -> str:
        """Replaces what the rules read by placeholders, rule after rule."""
        for pattern, read in rules:
            if pattern.search(text):  # most find nothing, and `sub` has to be given a function
                text = pattern.sub(functools.partial(self._settle, read), text)
        return text

    def _settle(self, read: Callable[[re.Match[str]], str | None], match: re.Match[str]) -> str:
        reading = read(match)
        return match[0] if reading is None else self.keep(reading)

    def restore(self, text: str) -> str:
        """Replaces placeholders by readings, with spaces towards adjacent Latin letters."""
        while PLACE.search(text):  # a reading may contain others
            text = PLACE.sub(self._spaced, text)
        return text

    def _spaced(self, match: re.Match[str]) -> str:
        text = match.string
        reading = self._readings[ord(match[0]) - _FIRST]
        before = text[max(0, match.start() - 1) : match.start()]
        after = text[match.end() : match.end() + 1]
        if reading and _WORD.match(reading[0]) and (_WORD.match(before) or PLACE.match(before)):
            reading = " " + reading
        if reading and _WORD.match(reading[-1]) and _WORD.match(after):
            reading += " "
        return reading
