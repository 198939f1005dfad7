"""Puts a Chinese or English text into words, as for version 2, with version 2.5's readings."""

import re
from collections.abc import Callable

from indextts_jax.text.glossary import Glossary
from indextts_jax.text.normalize import Normalised, normalise
from indextts_jax.text.rules.marked import settle_marked
from indextts_jax.text.rules.pinyin import spell
from indextts_jax.text.rules.spans import MARKUP, Settled
from indextts_jax.text.rules.verbalise import Language
from indextts_jax.text.v25.markup import SPAN, is_kana, marked
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

Warn = Callable[[str], None]


def read_words(
    text: str, glossary: Glossary | None = None, usual: Language | None = None
) -> Normalised:
    """The text in words and in lower case, with its readings between special tokens.

    Pinyin needs no mark-up: 银XING2 and nǐ hǎo are read as the syllables say, too. Special tokens
    in the text (`<|SAD|>`) stay. The warnings name readings that do not exist; those words are read
    as written.
    """
    words, warnings = normalise(text, glossary, usual, _settle)
    return Normalised(_outside_spans(words, _lowered), warnings)


def _settle(text: str, settled: Settled, warn: Warn) -> str:
    def token(match: re.Match[str]) -> str:
        name = match[0].upper()
        return settled.keep(name) if name in _TOKENS else match[0]

    def reading(match: re.Match[str]) -> str:
        word, given = match[0][1:-1].split("|", 1)
        if not _LETTER.search(word):
            return match[0]  # a comparison, not a word: 3<5|6>7
        spelt = _spelt(word, given.strip())
        if spelt is not None:
            return settled.keep(marked(word, spelt))
        kind = "pinyin with tones" if _IDEOGRAPH.search(word) else "phonemes of the CMU dictionary"
        warn(f"{match[0]}: {given} is not {kind} or kana; {word} is read as written")
        return word

    text = MARKUP.sub(reading, _TOKEN.sub(token, text))
    return settle_marked(text, settled, warn)


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


def _outside_spans(text: str, change: Callable[[str], str]) -> str:
    """The text changed everywhere but in its readings and special tokens."""
    kept = re.compile(rf"{SPAN.pattern}|{_TOKEN.pattern}", SPAN.flags)
    parts, place = [], 0
    for match in kept.finditer(text):
        parts += [change(text[place : match.start()]), match[0]]
        place = match.end()
    return "".join(parts) + change(text[place:])
