"""Numbers of what can be heard where chunks meet."""

import numpy as np
import pytest

from tools.stream_measures import Measures, measured, summary

RATE, HOP, FRAMES = 22050, 256, 200
SEAMS = [50, 120]


def sound() -> np.ndarray:
    time = np.arange(FRAMES * HOP) / RATE
    return (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)


def mel() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((FRAMES, 8)).astype(np.float32)


def of(wave: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    found: Measures = measured(wave, SEAMS, ours, mel(), RATE, HOP)
    return summary([found, found])


def test_sound_without_seams_that_show_has_none() -> None:
    values = of(sound(), mel())
    assert values["mel"] == values["mel < 10"] == values["mel > 40"] == 0
    assert values["click"] <= 1.05
    assert values["jump"] < 3
    assert values["flux"] == pytest.approx(1, abs=0.5)


def test_difference_is_counted_by_its_distance_to_a_seam() -> None:
    ours = mel()
    ours[48:53] += 1
    values = of(sound(), ours)
    assert values["mel < 10"] > 0
    assert values["mel 10-40"] == values["mel > 40"] == 0
    assert values["mel"] < values["mel < 10"]


def test_step_in_the_sound_is_a_click_and_a_jump() -> None:
    wave = sound()
    wave[SEAMS[0] * HOP : SEAMS[1] * HOP] *= 0.1
    wave[SEAMS[0] * HOP] += 0.5
    values = of(wave, mel())
    assert values["click"] > 10
    assert values["jump"] > 10


def test_sound_without_seams_has_no_ratio() -> None:
    values = summary([measured(sound(), [], mel(), mel(), RATE, HOP)])
    assert values["mel"] == 0
    assert np.isnan(values["jump"])
    assert np.isnan(values["mel < 10"])
