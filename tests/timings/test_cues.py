"""Subtitles: what is shown together."""

import itertools

import timed_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from indextts_jax.timings.cues import (
    GAP,
    LONGEST,
    SHORTEST,
    WIDTH,
    Cue,
    cut_cues,
    line_text,
    shown_words,
    width,
)
from indextts_jax.timings.source import source_words
from indextts_jax.timings.words import Word


def said(text: str, pace: float = 0.3, gaps: dict[int, float] | None = None) -> tuple[Word, ...]:
    """The words of a text at an even pace in seconds, with silence before some of them."""
    found, place = [], 0.0
    for number, word in enumerate(source_words(text)):
        place += (gaps or {}).get(number, 0.0)
        span = word.start, word.end
        found.append(Word(word.text, place, place + pace, *span, "", 0.9, "attention"))
        place += pace
    return tuple(found)


def cues(text: str, count: int = 0, **more: object) -> list[Cue]:
    words = said(text, **more)  # type: ignore[arg-type]
    end = max((word.end or 0.0 for word in words), default=0.0)
    return cut_cues(text, words, end, count)


LONG = (
    "The first sentence is about as long as a line. The second one is longer than that, because it "
    "goes on, and on, and on. And a third, so short."
)


def test_cues_end_at_sentences_and_clauses() -> None:
    texts = [cue.text.replace("\n", " ") for cue in cues(LONG)]
    assert " ".join(texts) == LONG
    assert all(text[-1] in ".," for text in texts)


def test_lines_are_short() -> None:
    for cue in cues(LONG):
        assert len(cue.lines) <= 2
        assert all(width(line_text(line)) <= WIDTH for line in cue.lines)


def test_a_cue_begins_and_ends_with_its_words() -> None:
    for cue in cues(LONG):
        assert (cue.start, cue.end) == (cue.words[0].start, cue.words[-1].end)


def test_a_gap_ends_a_cue() -> None:
    text = "One two three"
    assert [cue.text for cue in cues(text, gaps={1: GAP + 0.01})] == ["One", "two three"]
    assert [cue.text for cue in cues(text, gaps={1: GAP - 0.01})] == [text]


def test_a_short_cue_stays_until_it_can_be_read() -> None:
    (first, second) = cues("Yes. No", gaps={1: 5.0})
    assert first.end - first.start == SHORTEST
    assert second.end == second.words[-1].end  # the sound ends there
    (first, second) = cues("Yes. No", gaps={1: 0.71})
    assert first.end == SHORTEST
    assert first.end < second.start


def test_a_cue_ends_before_the_next_begins() -> None:
    found = cues("Ah. " * 60, pace=0.2)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))


def test_cues_of_words_have_at_most_that_many() -> None:
    found = cues(LONG, 2)
    assert max(len(cue.words) for cue in found) == 2
    assert all(cue.end == cue.words[-1].end for cue in found)


def test_marks_are_shown_with_their_words() -> None:
    text = 'He said: "Go (now)!" [pause 1s] 好，吗。 - yes'
    shown = shown_words(text, said(text))
    assert [word.text for word in shown] == ["He", "said:", '"Go', '(now)!"', "好，", "吗。", "yes"]
    assert line_text(shown) == 'He said: "Go (now)!" 好，吗。 yes'


def test_ideographs_count_twice() -> None:
    assert width("ab好吗") == 6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(timed_texts.corpus()), min_size=1, max_size=6),
    st.floats(0.02, 1.0),
    st.integers(0, 5),
)
def test_any_text_has_readable_cues(texts: list[str], pace: float, count: int) -> None:
    text = "\n".join(texts)
    words = said(text, pace)
    found = cues(text, count, pace=pace)
    shown = [word.word for cue in found for word in cue.words]
    assert shown == list(words)
    place = 0.0
    for cue in found:
        assert place <= cue.start <= cue.end
        assert cue.end - cue.start <= LONGEST + 1e-6 or len(cue.words) == 1
        assert len(cue.lines) <= 2
        place = cue.end
        assert all(width(line_text(line)) <= WIDTH for line in cue.lines) or len(cue.words) == 1
