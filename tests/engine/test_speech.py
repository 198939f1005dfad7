"""The player that a notebook shows."""

import base64
import io
import re

import numpy as np
import soundfile

from indextts_jax.engine.faults import Fault
from indextts_jax.engine.speech import PLAYED, Segment, Speech

RATE = 22050


def speech(samples: np.ndarray, *faults: Fault) -> Speech:
    segment = Segment(text_tokens=3, codes=5, frames=8, truncated=False, faults=faults)
    return Speech(samples.astype(np.float32), RATE, (segment,), {})


def test_the_player_holds_the_sound() -> None:
    samples = np.sin(np.arange(RATE) / 9) * 0.5
    page = speech(samples).player()
    assert speech(samples)._repr_html_() == page  # what notebooks ask for
    (data,) = re.findall(r'<audio controls src="data:audio/wav;base64,([^"]+)"', page)
    held, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == RATE
    np.testing.assert_allclose(held, samples, atol=1e-4)


def test_a_sound_that_is_too_long_is_not_put_into_the_page() -> None:
    page = speech(np.zeros(PLAYED))._repr_html_()
    assert "too long" in page
    assert len(page) < 500


def test_nan_samples_give_a_message_instead_of_a_player() -> None:
    page = speech(np.full(100, np.nan))._repr_html_()
    assert "not finite" in page
    assert "<audio" not in page


def test_faults_are_shown_with_the_player() -> None:
    page = speech(np.zeros(100), Fault("long", "it lasts 9 s, & <more>"))._repr_html_()
    assert "segment 1: it lasts 9 s, &amp; &lt;more&gt;" in page
