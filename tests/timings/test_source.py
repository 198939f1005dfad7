"""The words of texts, and what is spoken for each."""

import time

import timed_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from indextts_jax.timings.pairing import pair_words
from indextts_jax.timings.source import SegmentWord, source_words, spoken_words, words_by_segment


def paired(text: str) -> list[SegmentWord]:
    script = timed_texts.script(text)
    found = words_by_segment(text, [segment.pieces for segment in script.segments])
    return [word for segment in found for word in segment]


def readings(text: str) -> dict[str, str]:
    return {word.word.text: word.spoken for word in paired(text)}


def test_words_are_without_marks() -> None:
    text = 'He said: "Don\'t!" (U.S. 7:05, $5.20 or 50%) 我，你 - end.'
    words = [word.text for word in source_words(text)]
    said = ["He", "said", "Don't", "U.S", "7:05", "$5.20", "or", "50%", "我", "你", "end"]
    assert words == said


def test_a_pause_is_not_a_word() -> None:
    assert [word.text for word in source_words("One [pause 0.8s] two")] == ["One", "two"]


def test_a_time_is_one_word_over_its_reading() -> None:
    found = readings("It is 7:05 now.")
    assert found == {"It": "IT", "is": "IS", "7:05": "SEVEN O FIVE", "now": "NOW"}


def test_numbers_beside_each_other_share_their_reading() -> None:
    found = readings("On March 5, 2026 we paid $5.20 to Smith.")
    assert found["5"] == "FIFTH"
    assert found["2026"] == "TWENTY TWENTY SIX"
    assert found["$5.20"] == "FIVE DOLLARS AND TWENTY CENTS"
    assert found["Smith"] == "SMITH"


def test_chinese_words_are_ideographs_and_numbers() -> None:
    found = readings("我在2024年买了3.5公斤苹果。")
    assert found["2024"].split() == ["二", "零", "二", "四"]
    assert found["3.5"].split() == ["三", "点", "五"]
    assert found["果"] == "果"


def test_what_is_not_read_is_still_a_word() -> None:
    assert readings("One 😀 two") == {"One": "ONE", "😀": "", "two": "TWO"}


def test_pieces_of_bytes_and_of_several_characters_give_words() -> None:
    pieces = ["<|zh|>", "<0xE4><0xBD>", "<0xA0>", "好吗", "▁ok", "!"]
    found = spoken_words(pieces)
    assert [word.text for word in found] == ["你", "好", "吗", "ok"]
    assert [(word.first, word.last) for word in found] == [(1, 3), (3, 3.5), (3.5, 4), (4, 5)]


def test_broken_bytes_give_a_word() -> None:
    (word,) = spoken_words(["▁a<0xE4>"])
    assert word.text == "a\ufffd"


def test_version_2_5_has_the_same_words() -> None:
    text = "It is 7:05 now."
    pieces = timed_texts.multilingual(text).segments[0].pieces
    found = words_by_segment(text, [pieces])[0]
    assert [word.spoken for word in found] == ["it", "is", "seven o five", "now"]


def test_a_reading_that_is_cut_is_in_both_segments() -> None:
    first, second = words_by_segment("a 123 b", [["▁A", "▁ONE"], ["▁TWO", "▁THREE", "▁B"]])
    assert [(word.word.text, word.spoken) for word in first] == [("a", "A"), ("123", "ONE")]
    assert [(word.word.text, word.spoken) for word in second] == [("123", "TWO THREE"), ("b", "B")]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(timed_texts.corpus()), min_size=1, max_size=2), st.text(max_size=9))
def test_every_word_is_there_once_and_in_order(texts: list[str], more: str) -> None:
    text = " ".join([*texts, more.replace("[", "").replace("\0", "")])
    words = source_words(text)
    assert all(text[word.start : word.end] == word.text for word in words)
    script = timed_texts.script(text)
    runs = words_by_segment(text, [segment.pieces for segment in script.segments])
    if not runs:
        return
    found = [word for segment in runs for word in segment]
    assert list(dict.fromkeys(word.word for word in found)) == words
    for segment, run in zip(script.segments, runs, strict=True):
        place = 0.0
        for word in run:
            assert place <= word.first <= word.last <= len(segment.pieces)
            assert bool(word.spoken) is (word.first < word.last)
            place = word.last


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abcd1"), max_size=30), st.lists(st.sampled_from("abcde"), max_size=30)
)
def test_pairs_are_in_order(source: list[str], spoken: list[str]) -> None:
    place = 0
    spans = pair_words(source, spoken)
    assert len(spans) == len(source)
    for first, last in spans:
        if first < last:
            assert place <= first <= last <= len(spoken)
            place = last


def test_equal_words_are_paired_with_each_other() -> None:
    words = [f"w{number % 97}" for number in range(3000)]
    assert pair_words(words, words) == [(n, n + 1) for n in range(len(words))]
    changed = list(words)
    for place in range(5, 3000, 50):
        changed[place] = "other"
    assert pair_words(words, changed) == [(n, n + 1) for n in range(len(words))]


def test_a_long_text_of_one_phrase_takes_seconds() -> None:
    source = ["on", "May", "5", "2024"] * 2000
    spoken = ["on", "may", "fifth", "twenty", "twenty", "four"] * 2000
    begun = time.process_time()
    spans = pair_words(source, spoken)
    assert time.process_time() - begun < 20
    assert spans[:4] == [(0, 1), (1, 2), (2, 3), (3, 6)]
