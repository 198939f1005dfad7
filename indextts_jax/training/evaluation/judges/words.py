"""Word errors of a transcript against the intended text.

Both go through the same normalisation first: case, punctuation, numbers, spelling.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

from indextts_jax.training.evaluation.judges import packages

FLAG = "judge_asr"
# Languages with character errors instead of word errors.
BY_CHARACTER = ("zh", "ja", "yue", "th", "lo", "my", "ko")


@dataclasses.dataclass(frozen=True)
class WordErrors:
    """Error counts of one text, or of several."""

    words: int = 0  # words of the intended text
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """The total number of errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per intended word; above 1 with many insertions."""
        return self.errors / max(self.words, 1)


def total(found: Iterable[WordErrors]) -> WordErrors:
    """The sum over texts."""
    rows = [dataclasses.astuple(one) for one in found]
    return WordErrors(*map(sum, zip(*rows, strict=True))) if rows else WordErrors()


@functools.cache
def normaliser(language: str) -> Callable[[str], str]:
    """The normaliser of a language for comparisons.

    English: lower case, no punctuation, numbers as digits, American spelling, contractions said in
        full (Whisper's own rules). Other languages: lower case, no punctuation or other symbols;
        for languages without spaces, each character is a word.

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
    """The minimal edits between two texts after normalisation.

    Raises:
        InputError: if a package is not installed.
    """
    normal = normaliser(language)
    return count_errors(normal(reference), normal(heard))


def count_errors(reference: str, heard: str) -> WordErrors:
    """As `word_errors`, without normalisation."""
    wanted, said = len(reference.split()), len(heard.split())
    if not wanted or not said:  # jiwer rejects empty texts
        return WordErrors(wanted, deletions=wanted, insertions=said)
    found = packages.load("jiwer", FLAG).process_words(reference, heard)
    return WordErrors(wanted, found.substitutions, found.deletions, found.insertions)
