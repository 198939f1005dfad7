"""Faults of synthesized segments."""

import numpy as np
import pytest

from indextts_jax.engine.faults import (
    FADE,
    faded,
    format_faults,
    length_faults,
    longest_repeat,
    playable,
    runaway_limit,
    sample_faults,
)
from indextts_jax.text.frontend import Spoken

RATE = 1000


def wave(seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).uniform(-level, level, int(seconds * RATE)).astype(np.float32)


def lengths(seconds: float, least: float = 2.0, most: float = 4.0, **more: bool) -> list[str]:
    settings = {"truncated": False} | more
    return [fault.kind for fault in length_faults(seconds, (least, most), **settings)]


@pytest.mark.parametrize("seconds", [0.6, 2.0, 4.0, 8.9])
def test_usual_length_is_not_a_fault(seconds: float) -> None:
    assert lengths(seconds) == []


def test_each_fault_of_length_is_found() -> None:
    assert lengths(9.1) == ["long"]
    assert lengths(3.9, 10.0, 20.0) == ["short"]
    assert lengths(4.1, 10.0, 20.0) == []
    assert lengths(0.0) == ["empty"]
    assert lengths(3.0, truncated=True) == ["endless"]
    assert lengths(30.0, truncated=True) == ["endless"]
    assert lengths(16.0, truncated=True, cut=True) == ["runaway"]


def test_a_single_word_may_be_short_but_not_vanish() -> None:
    least, most = Spoken((7,), ("Yes.",), 0.0).duration
    assert lengths(0.1, least, most) == []
    assert lengths(1.2, least, most) == []
    assert lengths(0.02, least, most) == ["short"]


def test_a_text_without_syllables_is_judged_by_its_end_alone() -> None:
    assert lengths(20.0, 0.0, 0.0) == []
    assert lengths(20.0, 0.0, 0.0, truncated=True) == ["endless"]
    assert lengths(0.0, 0.0, 0.0) == ["empty"]


def test_the_limit_of_codes_grows_with_the_text_whatever_its_script() -> None:
    word = Spoken((7,), ("Yes.",), 0.0)
    long = Spoken((7,) * 9, ("Yes.",) * 9, 0.0)
    foreign = Spoken((7,) * 60, ("ж",) * 60, 0.0)
    assert 3 * 50 < runaway_limit(word, 50) < 5 * 50 < runaway_limit(long, 50)
    assert runaway_limit(foreign, 50) == 60 * 12


def test_nonfinite_samples_become_silence() -> None:
    samples = np.array([0.5, np.nan, -np.inf, 3.0, -0.25], np.float32)
    assert playable(samples).tolist() == [0.5, 0.0, 0.0, 1.0, -0.25]
    assert playable(samples).dtype == np.float32


def test_each_fault_of_samples_is_found() -> None:
    broken = wave(3)
    broken[7] = np.nan
    assert [fault.kind for fault in sample_faults(broken)] == ["not_finite"]
    assert [fault.kind for fault in sample_faults(wave(3, 1.1))] == ["clipped"]
    assert sample_faults(wave(3, 0.9999)) == ()


def test_message_has_expected_and_actual_values() -> None:
    line = format_faults(length_faults(9.5, (2.0, 4.0), truncated=False))
    assert line == "it lasts 9.5 s, but its text takes 2.0 to 4.0 s to say"


def test_a_fade_touches_only_the_edge_that_meets_silence() -> None:
    samples, rate = np.ones(1000, np.float32), 10_000
    size = round(FADE * rate)
    up = faded(samples, rate, start=True, end=False)
    down = faded(samples, rate, start=False, end=True)
    assert up[0] == 0
    assert (up[size:] == 1).all()
    assert (np.diff(up[: size + 1]) > 0).all()
    assert np.array_equal(up[::-1], down)
    assert (samples == 1).all()
    assert np.array_equal(faded(samples, rate, start=False, end=False), samples)
    assert faded(samples[:1], rate, start=True, end=True).size == 1


@pytest.mark.parametrize(
    ("codes", "longest"),
    [
        ([], 0),
        ([5], 0),
        ([1, 2, 3, 4], 0),
        ([1, 7, 7, 2], 2),
        ([9, 7, 7, 7, 7, 2, 7], 4),
        ([1, 2, 3, 1, 2, 3, 1, 4], 7),
        ([1, 2, 3, 9, 1, 2, 3], 0),  # the pattern comes again, but not at once
        ([*range(25), *range(25), 0], 51),
        ([*range(26), *range(26)], 0),  # longer than patterns that are looked for
    ],
)
def test_the_longest_repeat_of_codes(codes: list[int], longest: int) -> None:
    assert longest_repeat(np.asarray(codes, np.int32)) == longest
