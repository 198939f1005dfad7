"""Word errors of a text that was heard, against the text that was to be said.

Both go through the same normalisation first: case, punctuation, numbers, spelling.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

from indextts_jax.training.evaluation.judges import packages

FLAG = "judge_asr"
BY_CHARACTER = ("zh", "ja", "yue", "th", "lo", "my", "ko")  # languages whose errors are of letters


@dataclasses.dataclass(frozen=True)
class WordErrors:
    """Counts of one text, or of many together."""

    words: int = 0  # that were to be said
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors for a word that was to be said; above 1 where much was added."""
        return self.errors / max(self.words, 1)


def total(found: Iterable[WordErrors]) -> WordErrors:
    """The counts of many texts together."""
    rows = [dataclasses.astuple(one) for one in found]
    return WordErrors(*map(sum, zip(*rows, strict=True))) if rows else WordErrors()


@functools.cache
def normaliser(language: str) -> Callable[[str], str]:
    """Texts of a language as they are compared.

    English: lower case, no punctuation, numbers as digits, American spelling, contractions said in
    full (Whisper's own rules). Other languages: lower case, no punctuation or other symbols; where
    words are not set apart, each letter is one.

    Raises:
        InputError: if the package is not installed.
    """
    if language == "en":
        english = packages.load("whisper_normalizer.english", FLAG).EnglishTextNormalizer()
        return lambda text: str(english(text)).strip()
    apart = language in BY_CHARACTER
    basic = packages.load("whisper_normalizer.basic", FLAG).BasicTextNormalizer(split_letters=apart)
    return lambda text: str(basic(text)).strip()


def word_errors(reference: str, heard: str, language: str = "en") -> WordErrors:
    """The fewest errors that make the one text the other, both normalised.

    Raises:
        InputError: if a package is not installed.
    """
    normal = normaliser(language)
    return count_errors(normal(reference), normal(heard))


def count_errors(reference: str, heard: str) -> WordErrors:
    """As `word_errors`, of texts as they are."""
    wanted, said = len(reference.split()), len(heard.split())
    if not wanted or not said:  # which jiwer refuses, or has no rate for
        return WordErrors(wanted, deletions=wanted, insertions=said)
    found = packages.load("jiwer", FLAG).process_words(reference, heard)
    return WordErrors(wanted, found.substitutions, found.deletions, found.insertions)
