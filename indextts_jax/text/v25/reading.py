"""Puts a Chinese or English text into words, as for version 2, with version 2.5's readings."""

import re
from collections.abc import Callable

from indextts_jax.errors import InputError
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.normalize import Normalised, normalise
from indextts_jax.text.rules.marked import settle_marked
from indextts_jax.text.rules.pinyin import spell
from indextts_jax.text.rules.spans import MARKUP, Settled
from indextts_jax.text.rules.verbalise import Language
from indextts_jax.text.v25.markup import is_kana, marked
from indextts_jax.text.v25.special_tokens import PINYIN, SPECIAL_TOKENS

_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_TOKEN = re.compile(r"<\|[^|<>\n]+\|>")
_TOKENS = frozenset(SPECIAL_TOKENS)
_SYLLABLE = re.compile("[A-Z]{1,6}[1-5]")
_PINYIN = re.compile(rf"(?<![A-Za-z0-9|])(?:{_SYLLABLE.pattern})+(?![A-Za-z0-9|])")
# The phonemes of the CMU dictionary, vowels with their stress, and the point between syllables.
_VOWELS = "AA|AE|AH|AO|AW|AY|EH|ER|EY|IH|IY|OW|OY|UH|UW"
_CONSONANTS = "B|CH|D|DH|F|G|HH|JH|K|L|M|N|NG|P|R|S|SH|T|TH|V|W|Y|Z|ZH"
_PHONEMES = re.compile(rf"(?:(?:(?:{_VOWELS})[0-2]?|{_CONSONANTS}|\.)(?:\s+|$))+", re.IGNORECASE)

# Private characters of Unicode stand for what is settled until the rest of the text is in words.
_FIRST, _LAST = 0xE000, 0xF8FF
_TYPED = "0"  # the word of the mark-up that special tokens are written as until they are settled

Warn = Callable[[str], None]


def read_words(
    text: str, glossary: Glossary | None = None, usual: Language | None = None
) -> Normalised:
    """The text in words and in lower case, with its readings between special tokens.

    Pinyin needs no mark-up: 银XING2 and nǐ hǎo are read as the syllables say, too. Special tokens
    in the text (`<|SAD|>`) stay. The warnings name readings that do not exist; those words are read
    as written.
    """
    readings = _Readings(text)
    words, warnings = normalise(_TOKEN.sub(_as_markup, text), glossary, usual, readings.settle)
    return Normalised(readings.restore(_lowered(words)), warnings)


class _Readings:
    """The readings that a text gives, and a private character for each, which it does not have."""

    def __init__(self, text: str):
        present = set(text)
        self._free = (c for c in map(chr, range(_FIRST, _LAST + 1)) if c not in present)
        self._kept: dict[int, str] = {}

    def settle(self, text: str, settled: Settled, warn: Warn) -> str:
        """Settles mark-up and special tokens, then pinyin as version 2 does."""

        def reading(match: re.Match[str]) -> str:
            word, given = match[0][1:-1].split("|", 1)
            if word == _TYPED and f"<|{given}|>" in _TOKENS:
                return settled.keep(self._keep(f"<|{given}|>"))
            if not _LETTER.search(word):
                return match[0]  # a comparison, not a word: 3<5|6>7
            spelt = _spelt(word, given.strip())
            if spelt is not None:
                return settled.keep(self._keep(marked(word, spelt)))
            ideographs = _IDEOGRAPH.search(word)
            kind = "pinyin with tones" if ideographs else "phonemes of the CMU dictionary"
            warn(f"{match[0]}: {given} is not {kind} or kana; {word} is read as written")
            return word

        return settle_marked(MARKUP.sub(reading, text), settled, warn)

    def restore(self, text: str) -> str:
        """The text with the readings in place of their characters."""
        return re.sub(" {2,}", " ", text.translate(self._kept)).strip()

    def _keep(self, reading: str) -> str:
        character = next(self._free, None)
        if character is None:
            raise InputError(
                f"the text gives more than {_LAST - _FIRST} readings: speak it in parts"
            )
        self._kept[ord(character)] = reading
        return character


def _as_markup(match: re.Match[str]) -> str:
    name = match[0].upper()
    return f"<{_TYPED}|{name[2:-2]}>" if name in _TOKENS else match[0]


def _spelt(word: str, reading: str) -> str | None:
    """A reading as the model knows it: pinyin for ideographs, else phonemes, or kana."""
    if is_kana(reading):
        return reading
    syllables = [spell(syllable) for syllable in re.split(r"[\s.]+", reading)]
    if all(syllables):
        return " ".join(filter(None, syllables))
    if not _IDEOGRAPH.search(word) and _PHONEMES.fullmatch(reading):
        return " ".join(reading.upper().split())
    return None


def _lowered(text: str) -> str:
    """Lower case; what is left of pinyin, between special tokens."""
    parts, place = [], 0
    for match in _PINYIN.finditer(text):
        syllables = _SYLLABLE.findall(match[0])
        if any(spell(syllable) != syllable for syllable in syllables):
            continue
        parts.append(text[place : match.start()].lower())
        parts += [f"{PINYIN}{syllable}{PINYIN}" for syllable in syllables]
        place = match.end()
    return "".join(parts) + text[place:].lower()
