"""The times of words within a segment."""

from typing import Any

import numpy as np
import timed_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from indextts_jax.timings.source import words_by_segment
from indextts_jax.timings.words import (
    NOT_FOUND,
    NOT_READ,
    SegmentTimes,
    Sound,
    time_words,
    untimed,
)

PIECES = ["▁ONE", "▁TWO", ",", "▁THREE"]
CODES = [20, 25, 0, 15]  # of each piece
TONE = 0.1 * np.sin(np.arange(timed_texts.HOP * 120) / 5).astype(np.float32)


def attention(counts: list[int] = CODES) -> np.ndarray:
    owner = np.repeat(np.arange(len(counts)), counts)
    return 0.9 * (owner[:, None] == np.arange(len(counts))) + 0.1 / len(counts)


def sound(codes: int, wave: np.ndarray = TONE, frames: int = 120) -> Sound:
    index = np.minimum(np.floor(np.arange(frames) * np.float32(codes / frames)), codes - 1)
    return Sound(wave, timed_texts.RATE, index.astype(int), codes, 1, timed_texts.HOP)


def timed(matrix: np.ndarray | None, **more: Any) -> SegmentTimes:
    (words,) = words_by_segment("One two, three", [PIECES])
    codes = 60 if matrix is None else len(matrix)
    return time_words(words, PIECES, matrix, sound(codes, **more))


def seconds(frame: int) -> float:
    return frame * timed_texts.HOP / timed_texts.RATE


def test_a_word_has_the_time_of_the_first_frames_of_its_codes() -> None:
    found = timed(attention()).words
    assert [word.method for word in found] == ["attention"] * 3
    edges = [seconds(frame) for frame in (0, 40, 90, 120)]
    for word, start, end in zip(found, edges, edges[1:], strict=False):
        assert word.start is not None
        assert word.end is not None
        assert abs(word.start - start) <= 0.0301  # an edge may move to where it is quieter
        assert abs(word.end - end) <= 0.0301


def test_edges_move_to_the_lowest_level() -> None:
    dip = round((seconds(40) + 0.02) * timed_texts.RATE)
    wave = TONE.copy()
    wave[dip - 200 : dip + 200] *= 0.05
    found = timed(attention(), wave=wave).words
    assert found[0].end == found[1].start
    assert abs((found[0].end or 0) - dip / timed_texts.RATE) < 0.005


def test_a_pause_is_between_words() -> None:
    matrix = np.concatenate([attention()[:45], attention()[44:45].repeat(20, 0), attention()[45:]])
    wave = np.tile(TONE, 2)[: 160 * timed_texts.HOP].copy()
    wave[90 * timed_texts.HOP : 130 * timed_texts.HOP] = 0
    found = timed(matrix, wave=wave, frames=160).words
    assert abs((found[1].end or 0) - seconds(90)) < 0.03
    assert abs((found[2].start or 0) - seconds(130)) < 0.03


def test_a_word_without_attention_is_skipped() -> None:
    found = timed(attention([20, 0, 0, 25]))
    assert found.skipped == (1,)
    assert found.words[1].start is None
    assert found.words[1].reason == NOT_FOUND
    assert found.words[2].start is not None


def test_words_behind_an_early_end_are_skipped() -> None:
    assert timed(attention([20, 20, 0, 0])).skipped == (2,)


def test_words_that_are_said_again_are_repeated() -> None:
    once = attention()
    again = np.concatenate([once, once[20:]])
    assert timed(once).repeated == ()
    assert timed(again).repeated == (1,)
    assert not timed(again).skipped


def test_confidence_is_the_attention_to_the_word() -> None:
    sure = [word.confidence for word in timed(attention()).words]
    assert sure == [0.925] * 3
    unsure = [word.confidence for word in timed(0.5 * attention() + 0.125).words]
    assert all(b is not None and b < 0.7 for b in unsure)


def test_an_estimate_follows_syllables_and_pauses() -> None:
    wave = TONE.copy()
    wave[80 * timed_texts.HOP : 100 * timed_texts.HOP] = 0
    found = timed(None, wave=wave)
    assert [(word.method, word.confidence) for word in found.words] == [("estimate", None)] * 3
    assert (found.skipped, found.repeated) == ((), ())
    assert abs((found.words[1].end or 0) - seconds(80)) < 0.06
    assert abs((found.words[2].start or 0) - seconds(100)) < 0.06


def test_a_segment_without_sound_has_words_without_times() -> None:
    (words,) = words_by_segment("One, 😀", [["▁ONE"]])
    found = untimed(words, "estimate").words
    assert [(word.start, word.reason) for word in found] == [(None, NOT_FOUND), (None, NOT_READ)]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(timed_texts.corpus()),
    st.integers(1, 300),
    st.integers(0, 99),
    st.sampled_from([1.72, 0.9, 3.4]),
    st.booleans(),
)
def test_times_are_in_order_and_inside(
    text: str, codes: int, seed: int, rate: float, estimated: bool
) -> None:
    script = timed_texts.script(text)
    runs = words_by_segment(text, [segment.pieces for segment in script.segments])
    for segment, run in zip(script.segments, runs, strict=True):
        heard = timed_texts.sound(codes, seed, frames=max(1, int(rate * codes)))
        matrix = timed_texts.attention(codes, len(segment.pieces), seed)
        found = time_words(run, segment.pieces, None if estimated else matrix, heard)
        place = 0.0
        assert len(found.words) == len(run)
        for word in found.words:
            if word.start is None or word.end is None:
                assert word.reason in (NOT_FOUND, NOT_READ)
                assert word.start is word.end is None
                continue
            assert place <= word.start <= word.end
            assert word.reason is None
            place = word.end
        assert place <= len(heard.wave) / heard.rate + 1e-6
