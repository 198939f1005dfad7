"""Frames for a speed or a duration."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indextts_jax.config import bundled_config
from indextts_jax.engine.pace import Timing, frames_of
from indextts_jax.errors import InputError
from indextts_jax.models.length_regulator import target_length

CONFIG = bundled_config("indextts2")
RATE, HOP = CONFIG.mel.sample_rate, CONFIG.mel.hop
CODES = st.lists(st.integers(1, 1500), min_size=1, max_size=9)


@given(CODES)
def test_default_frames_match_the_reference(codes: list[int]) -> None:
    assert frames_of(codes, Timing(), 0, CONFIG) == [
        target_length(count, CONFIG.frames_per_code) for count in codes
    ]


@given(CODES, st.floats(0.5, 2.0))
def test_a_speed_divides_the_frames_to_within_one(codes: list[int], speed: float) -> None:
    frames = frames_of(codes, Timing(speed=speed), 0, CONFIG)
    for count, got in zip(codes, frames, strict=True):
        assert got == max(1, math.floor(target_length(count, CONFIG.frames_per_code) / speed))


@given(CODES, st.floats(0.501, 1.999), st.integers(0, 50_000))
def test_a_duration_is_met_to_half_a_frame(codes: list[int], speed: float, silence: int) -> None:
    own = sum(target_length(count, CONFIG.frames_per_code) for count in codes)
    seconds = (own / speed * HOP + silence) / RATE
    total = round(own / speed)
    if not math.ceil(own / 2) <= total <= own * 2:
        return
    frames = frames_of(codes, Timing(duration=seconds), silence, CONFIG)
    assert abs(sum(frames) * HOP + silence - seconds * RATE) <= HOP / 2 + 1e-6
    assert sum(frames) == total
    for count, got in zip(codes, frames, strict=True):
        assert abs(got - total * count / sum(codes)) < 1


@pytest.mark.parametrize("seconds", [0.1, 100.0])
def test_unreachable_duration_reports_the_range(seconds: float) -> None:
    with pytest.raises(InputError, match=r"this text takes 2\.00 to 7\.99 s"):
        frames_of([100, 100], Timing(duration=seconds), 0, CONFIG)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"speed": 0.49}, "speed must be 0.5 to 2.0"),
        ({"speed": float("nan")}, "speed"),
        ({"duration": 0.0}, "duration must be above 0"),
        ({"duration": float("inf")}, "duration"),
        ({"speed": 1.5, "duration": 3.0}, "are mutually exclusive"),
    ],
)
def test_invalid_pace_is_rejected(wish: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Timing(**wish)
