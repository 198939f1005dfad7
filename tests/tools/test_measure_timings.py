"""How times of words are compared with those of another aligner."""

import pytest

from indextts_jax.timings.words import Word
from tools.measure_timings import Measured, Span, distances, figures, main


def word(text: str, start: float | None, end: float | None) -> Word:
    return Word(text, start, end, 0, len(text), text, None, "estimate", None)


def test_equal_words_are_compared() -> None:
    ours = [word("It", 0.0, 0.2), word("7:05", 0.2, 0.9), word("now", None, None)]
    theirs = [Span("it", 0.05, 0.2), Span("seven", 0.2, 0.5), Span("five", 0.5, 0.9)]
    found = distances(ours, [*theirs, Span("now", 1.0, 1.2)])
    assert found["start"] == pytest.approx([0.05])
    assert found["end"] == pytest.approx([0.0])


def test_figures_are_in_milliseconds() -> None:
    found = figures([Measured({"a": [0.01, 0.03]}, 0.1, 1.0), Measured({"a": [0.02]}, 0.1, 1.0)])
    assert found["a"]["median"] == 20
    assert found["a"]["words"] == 3


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give --checkpoint" in capsys.readouterr().err
