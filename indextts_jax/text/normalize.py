"""Text normalisation: a text in words, each sentence in its own language."""

import re
from collections.abc import Callable
from typing import NamedTuple

from indextts_jax.text.cleaning import clean, tidy
from indextts_jax.text.cleaning.characters import hide_private
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.rules import chinese, english
from indextts_jax.text.rules.charmap import map_characters
from indextts_jax.text.rules.chinese import names
from indextts_jax.text.rules.contractions import expand_words
from indextts_jax.text.rules.english.codes import EMAIL, URL
from indextts_jax.text.rules.english.words import abbreviations
from indextts_jax.text.rules.forms import plain_forms, without_accents
from indextts_jax.text.rules.grammar import by_grammar
from indextts_jax.text.rules.marked import settle_marked
from indextts_jax.text.rules.spans import Rule, Settled
from indextts_jax.text.rules.symbols import name_symbols, without_signs
from indextts_jax.text.rules.tones import toned_words
from indextts_jax.text.rules.verbalise import Language

_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]+")
_MARKS = re.compile("[，。？！、；：]")
_ADDRESS = re.compile(rf"{EMAIL}|{URL}", re.ASCII)
_FUNCTION_WORDS = frozenset(
    [
        *("the", "an", "of", "in", "on", "at", "to", "is", "are", "was", "were", "be", "been"),
        *("and", "or", "for", "with", "from", "by", "as", "that", "this", "it", "his", "her"),
        *("their", "my", "your", "our", "we", "you", "he", "she", "they", "not", "but", "has"),
        *("have", "had", "will", "would", "can", "could", "does", "did", "says", "said", "means"),
    ]
)
# Where a sentence certainly ends; an English one after a word too long to be an abbreviation, or
# where the script changes.
_ABBREVIATED = "".join(
    rf"(?<!\b{word}\.)" for word in abbreviations() if re.search("[a-z]{4}$", word)
)
_SENTENCE = re.compile(
    rf"(?<=[。！？\n])|(?<=[a-z]{{4}}[.!?]){_ABBREVIATED}(?=\s)"
    r"|(?<=[A-Za-z0-9][.!?])(?<![apAP]\.[mM]\.)(?=\s+[\u3400-\u9fff])|(?<=[\u3400-\u9fff][.!?])(?=\s)"
)
_FIGURE = re.compile(r"[0-9āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ]")
_STRETCH = re.compile(r"(?s:.{1,800}$|.{400,800}(?<=[\s，、；,;])|.{1,800})")
_QUOTED = (
    r"(?:[^\s,.;:!?'\"()]|(?<=\d)[.,:](?=\d))*"  # characters written together with an ideograph
)


Settle = Callable[[str, Settled, Callable[[str], None]], str]


class Normalised(NamedTuple):
    """A text in words, and warnings."""

    text: str
    warnings: tuple[str, ...]


def normalise(
    text: str,
    glossary: Glossary | None = None,
    usual: Language | None = None,
    settle: Settle = settle_marked,
) -> Normalised:
    """The text in words, as it will be spoken.

    Each sentence is read in its own language, a sentence without letters in the `usual` one (by
    default that of the whole text). `settle` settles what the text says about its readings; the
    warnings name pronunciations that do not exist.
    """
    warnings: list[str] = []
    text, hidden = hide_private(text)
    usual = usual or language_of(text) or "zh"
    text = clean(text)
    glossary = _present(glossary, text)
    parts = [
        _sentence(part, language_of(part) or usual, glossary, warnings.append, settle)
        for part in _sentences(text, _whole_terms(glossary))
    ]
    joined = "".join(parts)
    for _ in range(2):  # three Chinese full stops become three dots, and those one ellipsis
        joined = map_characters(joined, chinese=False)
    joined = without_signs(without_accents(joined)).translate(hidden)
    joined = re.sub(r"(?<=[a-z]{2})\.(?=,)", "", joined)  # of a shortened word
    joined = re.sub(r",(?:\s+,)+", ",", re.sub(r"(?<!\s)\s+(?=[.,!?](?:\s|$))", "", joined))
    return Normalised(re.sub(r" {2,}", " ", joined).strip(), tuple(dict.fromkeys(warnings)))


def language_of(text: str) -> Language | None:
    """The language of a sentence, or None if it has no letters.

    Ideographs make it Chinese, even with names and words of other languages in between; but an
    English sentence may quote a few.
    """
    ideographs = len(_IDEOGRAPH.findall(text))
    words = _LATIN.findall(_ADDRESS.sub("", text))
    if not ideographs:
        chinese = _MARKS.search(text) and not any(
            len(word) > 2 and not word.isupper() for word in words
        )
        return None if not _LATIN.search(text) else "zh" if chinese else "en"
    known = not _FUNCTION_WORDS.isdisjoint(map(str.lower, words))
    first = _LATIN.match(text.lstrip(" '\"“‘("))
    mostly = first and not _MARKS.search(text) and 1.5 * len(words) >= ideographs
    if known and (len(words) > ideographs or mostly):
        return "en"
    return "zh"


def _sentences(text: str, terms: re.Pattern[str] | None) -> list[str]:
    """The sentences, never cut within a term; very long ones in stretches."""
    within = iter([match.span() for match in terms.finditer(text)] if terms else [])
    sentences, start, term = [], 0, next(within, None)
    for end in [match.start() for match in _SENTENCE.finditer(text)] + [len(text)]:
        while term and term[1] <= end:
            term = next(within, None)
        if not (term and term[0] < end):
            sentences.append(text[start:end])
            start = end
    return [part for sentence in sentences for part in _STRETCH.findall(sentence)]


def _sentence(
    text: str,
    language: Language,
    glossary: Glossary | None,
    warn: Callable[[str], None],
    settle: Settle,
) -> str:
    if not text.strip():
        return text
    settled = Settled()
    if glossary:
        text = settled.apply([_terms(glossary, language, warn, settle)], text)
    text = toned_words(text, language == "zh", settled.keep)
    text = plain_forms(settle(text, settled, warn), language)
    text = _in_chinese(text, settled) if language == "zh" else _in_english(text, settled)
    return settled.restore(name_symbols(text, language))


def _present(glossary: Glossary | None, text: str) -> Glossary | None:
    """The terms that the text holds: a pattern of thousands would be tried at every character."""
    if not glossary:
        return None
    lower = text.lower()
    terms = {term: given for term, given in glossary.terms.items() if tidy(term).lower() in lower}
    return Glossary(terms) if terms else None


def _whole_terms(glossary: Glossary | None) -> re.Pattern[str] | None:
    """The glossary's terms, as whole words where they are Latin, the longest first."""

    def whole(term: str) -> str:
        start = r"(?<![A-Za-z0-9])" if re.match("[A-Za-z0-9]", term) else ""
        end = r"(?![A-Za-z0-9])" if re.search("[A-Za-z0-9]$", term) else ""
        return start + re.escape(term) + end

    if not glossary or not glossary.terms:
        return None
    pattern = "|".join(whole(tidy(term)) for term, _ in glossary.longest_first())
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


def _terms(
    glossary: Glossary, language: Language, warn: Callable[[str], None], settle: Settle
) -> Rule:
    """A rule that reads the glossary's terms; figures and pinyin in a reading are read as usual."""
    readings = {
        tidy(term).lower(): reading.get(language, term) for term, reading in glossary.terms.items()
    }

    def read(match: re.Match[str]) -> str:
        reading = readings[match[0].lower()]
        if not _FIGURE.search(reading):
            return reading
        return _sentence(reading, language, None, warn, settle)

    return Rule(_whole_terms(glossary) or re.compile("(?!)"), read)


def _in_english(text: str, settled: Settled) -> str:
    text = text.replace("’", "'")
    if _IDEOGRAPH.search(text):
        text = re.sub(
            _QUOTED + _IDEOGRAPH.pattern + _QUOTED,
            lambda match: settled.keep(_in_chinese(match[0], settled)),
            text,
        )
    text = settled.apply(english.RULES, expand_words(text))
    return by_grammar(text, "en")


def _in_chinese(text: str, settled: Settled) -> str:
    text = names.TOPIC.sub(lambda match: match[1] + ("，" if match[2] else ""), text)
    text = settled.apply(chinese.RULES, expand_words(text)).replace("$", ".")
    return settled.apply(names.SIGNS, by_grammar(text, "zh"))
