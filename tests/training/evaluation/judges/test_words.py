"""Word errors after normalisation; needs the extra `judge`."""

import pytest

from indextts_jax.training.evaluation.judges.words import WordErrors, count_errors, word_errors


def test_empty_text_has_no_error_rate() -> None:
    assert count_errors("", "much was said") == WordErrors(0, insertions=3)
    assert count_errors("one two", "") == WordErrors(2, deletions=2)
    assert count_errors("", "").rate == 0.0


def test_substitutions_deletions_and_insertions() -> None:
    pytest.importorskip("jiwer", reason="needs the extra judge")
    assert count_errors("a b c d", "a x c d") == WordErrors(4, 1, 0, 0)
    assert count_errors("a b c d", "a d") == WordErrors(4, 0, 2, 0)
    found = count_errors("a b", "a b c d e")
    assert (found, found.rate) == (WordErrors(2, 0, 0, 3), 1.5)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Twenty-five neighbours, in all.", "25 neighbors in all"),
        ("It's one thousand dollars", "it is $1,000"),
        ("Mr. Smith's colour", "mister smith's color"),
    ],
)
def test_spelling_variants_are_not_errors(text: str, heard: str) -> None:
    pytest.importorskip("whisper_normalizer", reason="needs the extra judge")
    assert word_errors(text, heard).errors == 0


def test_languages_without_spaces_count_letters() -> None:
    pytest.importorskip("whisper_normalizer", reason="needs the extra judge")
    assert word_errors("今天好。", "今天坏", "zh") == WordErrors(3, 1, 0, 0)
    assert word_errors("Schöne Grüße!", "schöne grüße", "de") == WordErrors(2)
