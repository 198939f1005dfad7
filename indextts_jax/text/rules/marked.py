"""Readings given in the text: pinyin, and `<word|pronunciation>`."""

import re
from collections.abc import Callable

from indextts_jax.text.rules.pinyin import TONED, nearly, spell
from indextts_jax.text.rules.spans import MARKUP, Settled

_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
# A run of syllables with tones that is not part of a longer word or number.
_RUN = re.compile(r"(?<![A-Za-z0-9.-])(?:[A-Za-züÜ]{1,6}[1-5])+(?![A-Za-z0-9.%-])")
_SYLLABLE = re.compile(r"[A-Za-züÜ]{1,6}[1-5]")
_ONE_LETTER_NAME = re.compile(r"[A-Z][1-5]")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]+")


def settle_marked(text: str, settled: Settled, warn: Callable[[str], None]) -> str:
    """The text with its pinyin settled, and its mark-up replaced by the given pronunciation.

    In a text without ideographs, pinyin needs a run of two syllables, or a text of nothing else:
    `A100`, `SHA1` and `U2` are names there. `warn` gets a line for each invalid syllable.
    """

    def marked(match: re.Match[str]) -> str:
        word, pronunciation = match[0][1:-1].split("|", 1)
        syllables = re.split(r"[\s.]+", pronunciation.strip())
        spelt = [spell(syllable) for syllable in syllables]
        if all(spelt):
            return settled.keep(" ".join(filter(None, spelt)) if len(spelt) > 1 else f"{spelt[0]}")
        if not _LATIN.search(word) and not _IDEOGRAPH.search(word):
            return match[0]
        warn(f"{match[0]}: {pronunciation} is not pinyin with tones; {word} is read as written")
        return word

    text = MARKUP.sub(marked, text)
    chinese = bool(_IDEOGRAPH.search(text))
    runs = list(_RUN.finditer(text))
    only = bool(runs) and not _LATIN.search(_RUN.sub("", text))

    def toned(match: re.Match[str]) -> str:
        syllables = _SYLLABLE.findall(match[0])
        spelt = [spell(syllable) for syllable in syllables]
        if all(spelt) and _is_pinyin(match, syllables, chinese, only):
            return settled.keep("".join(filter(None, spelt)))
        if chinese and (bad := [s for s, good in zip(syllables, spelt, strict=True) if not good]):
            for syllable in filter(lambda s: _meant(s, match), bad):
                warn(f"{syllable} is not a pinyin syllable with a tone; it is read as written")
        return match[0]

    return _RUN.sub(toned, text)


def _is_pinyin(match: re.Match[str], syllables: list[str], chinese: bool, only: bool) -> bool:
    if len(syllables) == 1 and _ONE_LETTER_NAME.fullmatch(syllables[0]):
        return False  # A4 paper, E1
    if chinese or only:
        return True
    if len(syllables) > 1:
        return True
    beside = match.string[: match.start()].rstrip() + "|" + match.string[match.end() :].lstrip()
    before, _, after = beside.rpartition("|")
    return bool(re.search(r"(?:^|\s)[a-zü]+[1-5]$", before) or re.match(r"[a-zü]+[1-5]\b", after))


def _meant(syllable: str, match: re.Match[str]) -> bool:
    """Whether pinyin was intended: next to an ideograph, and almost a syllable."""
    around = match.string[max(0, match.start() - 1) : match.end() + 1]
    if not _IDEOGRAPH.search(around):
        return False
    letters = syllable[:-1]
    written = TONED.fullmatch(syllable) and (letters.islower() or len(letters) > 2)  # not CO2
    almost = (
        letters.isupper()
        and len(letters) > 2
        and re.search("[AEIOUVÜ]", letters)
        and nearly(letters)
    )
    return len(letters) > 1 and bool(written or almost)
