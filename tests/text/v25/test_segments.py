import pytest
import text25

from indextts_jax.errors import InputError
from indextts_jax.text.v25.segments import LEAST, cut_segments

TAG = "<|zh|> "


def cut(text, limit, quick=0, tokenizer=None):
    tokenizer = tokenizer or text25.small()
    segments = cut_segments(text, tokenizer, TAG, limit, quick)
    assert all(0 < tokenizer.count(TAG + segment) <= limit for segment in segments)
    return segments


def joined(segments):
    return "".join("".join(segments).split())


def test_a_text_that_fits_is_one_segment():
    assert cut("hello world, this is one.", 40) == ["hello world, this is one."]


def test_sentences_stay_whole():
    text = "the first one. the second one! the third one?"
    tokenizer = text25.published()
    limit = tokenizer.count(f"{TAG}{text} {text}") + 3

    assert cut(" ".join([text] * 4), limit, tokenizer=tokenizer) == [f"{text} {text}"] * 2


def test_ideographs_are_cut_at_marks():
    text = "今天天气很好,我们去公园吧."
    segments = cut(text * 6, 40, tokenizer=text25.published())

    assert "".join(segments) == text * 6
    assert all(segment.endswith(".") for segment in segments)


def test_arabic_is_cut_at_its_own_marks():
    text = "مرحبا بالعالم، كيف حالك؟"
    tokenizer = text25.published()
    limit = tokenizer.count(f"{TAG}{text} {text}") + 3

    assert cut(" ".join([text] * 4), limit, tokenizer=tokenizer) == [f"{text} {text}"] * 2


@pytest.mark.parametrize("text", ["😀" * 50, "é" * 90, "𠮷𠮷𠮷,𠮷" * 9, "한국어" * 20, "สวัสดี" * 20])
@pytest.mark.parametrize("limit", [LEAST + 2, 13, 40])
@pytest.mark.parametrize("quick", [0, 20])
def test_no_character_is_cut_in_two(text, limit, quick):
    assert "".join(cut(text, limit, quick)) == text


@pytest.mark.parametrize("limit", [14, 17, 23])
@pytest.mark.parametrize("quick", [0, 8, 100])
def test_no_reading_is_cut(limit, quick):
    span = "<|SPECIAL_TOKEN_1|>M IH1 . N<|SPECIAL_TOKEN_1|>"
    segments = cut(f"a {span}, b{span}{span}." * 5, limit, quick, text25.published())

    assert joined(segments) == joined([f"a {span}, b{span}{span}." * 5])
    assert all(segment.count("SPECIAL_TOKEN_1") % 2 == 0 for segment in segments)


def test_the_first_segments_are_short_with_quick_tokens():
    segments = cut("one two three. " * 30, 60, quick=1, tokenizer=text25.published())

    assert text25.published().count(TAG + segments[0]) <= 31
    assert text25.published().count(TAG + segments[1]) > 40


def test_a_limit_that_may_not_hold_a_character_is_refused():
    with pytest.raises(InputError, match="segment_tokens must be at least 10 in this language, g"):
        cut("好", 9)


def test_a_reading_longer_than_a_segment_is_refused():
    span = "<|SPECIAL_TOKEN_2|>" + "XING2 " * 20 + "<|SPECIAL_TOKEN_2|>"
    with pytest.raises(InputError, match=r"the reading <\|SPECIAL.* tokens; a segment holds 18"):
        cut(f"好{span}", 20)
