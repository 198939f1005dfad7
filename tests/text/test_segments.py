import pytest
from hypothesis import given
from hypothesis import strategies as st

from indextts_jax.text.segments import split_segments


def pieces(text):
    """Pieces for tests: a word's first piece begins with the mark, each character is a piece."""
    return [("▁" if i == 0 else "") + c for word in text.split() for i, c in enumerate(word)]


def texts(segments):
    return ["".join(segment).replace("▁", " ").strip() for segment in segments]


def test_a_short_text_is_one_segment():
    assert split_segments(pieces("a. b, c.")) == [pieces("a. b, c.")]


def test_nothing_has_no_segments():
    assert split_segments([]) == []


@pytest.mark.parametrize("mark", [".", "!", "?", "…", "...", "。", "！", "？"])
def test_a_long_text_is_cut_at_sentence_ends(mark):
    text = f"aaa, b{mark} ccc, d{mark}"

    assert texts(split_segments(pieces(text), 9)) == [f"aaa, b{mark}", f"ccc, d{mark}"]


@pytest.mark.parametrize("mark", [",", ";", ":", "，", "、"])
def test_a_long_sentence_is_cut_at_commas(mark):
    assert texts(split_segments(pieces(f"aaa bb{mark} cc dd."), 9)) == [f"aaa bb{mark}", "cc dd."]


def test_a_long_clause_is_cut_between_words():
    assert texts(split_segments(pieces("aaa bbb ccc ddd"), 7)) == ["aaa bbb", "ccc ddd"]


def test_a_long_word_is_cut_wherever_it_must_be():
    assert texts(split_segments(pieces("abcdefgh"), 3)) == ["abc", "def", "gh"]


def test_sentences_are_put_together_as_long_as_they_fit():
    assert texts(split_segments(pieces("a. b. c. d. e."), 5)) == ["a. b.", "c. d.", "e."]


def test_a_sentence_that_fits_is_not_cut_at_its_comma():
    assert texts(split_segments(pieces("aaaa. b, cc."), 6)) == ["aaaa.", "b, cc."]


def test_a_closing_quote_stays_with_its_sentence():
    assert texts(split_segments(pieces("'aaa.' (bbb.) cc."), 6)) == ["'aaa.'", "(bbb.)", "cc."]


def test_a_mark_within_a_word_ends_nothing():
    assert texts(split_segments(pieces("3.14 aa. bb"), 6)) == ["3.14", "aa. bb"]


def test_marks_that_are_words_of_their_own_count():
    # As the published tokenizer has it after an ideograph.
    given = ["▁", "好", "▁,", "▁", "好", "▁.", "▁", "好", "▁."]

    assert split_segments(given, 6) == [given[:6], given[6:]]
    assert split_segments(given[:6], 4) == [given[:3], given[3:6]]


@given(
    st.lists(st.sampled_from(["▁a", "b", "▁.", ".", ",", "▁,", "'", "▁"]), max_size=60),
    st.integers(1, 20),
)
def test_every_piece_comes_once_and_in_order(given, limit):
    segments = split_segments(given, limit)

    assert [piece for segment in segments for piece in segment] == given
    assert all(1 <= len(segment) <= limit for segment in segments)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(ValueError, match=f"limit of {limit}"):
        split_segments(["▁a"], limit)
