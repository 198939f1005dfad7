"""Long texts from Python: parts as they are ready, progress, cancellation, warnings."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax import IndexTTS, InputError, Settings, TextWarning, Voice
from indextts_jax.audio.io import load_audio
from indextts_jax.model import Model

QUICK = Settings(steps=2, max_codes=24)  # as in test_pipeline: compiled once for both
LONG = "Hello world. [pause 0.1s] A dog barks. [pause 0.1s] Why?"
CALLS: list[str] = []


class Counted(Model):
    """A model that notes every stage that is asked for."""

    def stage(self, component: str, function: Any, **static: Any) -> Any:
        CALLS.append(component)
        return super().stage(component, function, **static)


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    tiny = model("tiny")
    return IndexTTS(Counted(tiny.config, tiny.params, tiny.tokenizer, tiny.provenance))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


class Stop(Exception):
    """What a caller raises to stop."""


def test_a_stream_closed_early_runs_no_further_stage(tts: IndexTTS, voice: Voice) -> None:
    stream = tts.stream(LONG, voice, settings=QUICK)
    before = len(CALLS)
    next(stream)
    after = len(CALLS)
    stream.close()
    assert list(stream) == []
    assert len(CALLS) == after > before


def test_a_stream_that_nobody_reads_runs_no_stage(tts: IndexTTS, voice: Voice) -> None:
    before = len(CALLS)
    tts.stream(LONG, voice, settings=QUICK).close()
    assert len(CALLS) == before


def test_a_progress_that_raises_ends_it_and_the_model_speaks_on(
    tts: IndexTTS, voice: Voice
) -> None:
    counts: list[int] = []

    def progress(done: int, of: int) -> None:
        counts.append(len(CALLS))
        if done == 1:
            raise Stop(f"{done} of {of}")

    stream = tts.stream(LONG, voice, settings=QUICK, progress=progress)
    with pytest.raises(Stop, match="1 of 3"):
        list(stream)
    assert len(CALLS) == counts[-1]
    assert list(stream) == []
    alone = tts.speak("Why?", voice, settings=QUICK).samples
    again = tts.speak("Why?", voice, settings=QUICK).samples
    assert np.array_equal(alone, again)


def test_a_watch_that_raises_ends_it_within_a_segment(tts: IndexTTS, voice: Voice) -> None:
    seen: list[str] = []

    def watch(stage: str) -> None:
        seen.append(stage)
        if len(seen) == 2:
            raise Stop

    with pytest.raises(Stop):
        tts.speak(LONG, voice, settings=QUICK, watch=watch)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (" ", {}),
        ("Hello.", {"emotion_weights": [1.0]}),
        ("Hello.", {"emotion_text": "glad"}),
        ("Hello.", {"emotion_alpha": float("nan"), "emotion_weights": [0.1] * 8}),
        ("Hello.", {"settings": Settings(max_codes=10**6)}),
        ("☃☃", {}),
    ],
    ids=["blank", "weights", "no reader", "alpha", "max_codes", "unknown"],
)
def test_what_cannot_be_done_is_refused_at_the_call(
    tts: IndexTTS, voice: Voice, text: str, more: dict[str, Any]
) -> None:
    before = len(CALLS)
    with pytest.raises(InputError):
        tts.stream(text, voice, **more)
    assert len(CALLS) == before


def test_an_odd_text_is_told_once_in_a_call(tts: IndexTTS, voice: Voice) -> None:
    text = "Hello ☃. [pause 0.1s] A ☃ barks."
    with pytest.warns(TextWarning) as caught:
        tts.speak(text, voice, settings=QUICK)
    (warning,) = caught
    assert "does not know: ☃ at character 7, ☃ at character 25" in str(warning.message)
    with pytest.warns(TextWarning, match="☃"):
        tts.stream(text, voice, settings=QUICK)


def test_the_reader_s_own_warnings_are_told(tts: IndexTTS, voice: Voice) -> None:
    (told,) = tts.script("念bua2吧").warnings
    with pytest.warns(TextWarning) as caught:
        tts.stream("念bua2吧", voice, settings=QUICK)
    assert told in {str(warning.message) for warning in caught}


def test_an_ordinary_text_warns_of_nothing(
    tts: IndexTTS, voice: Voice, recwarn: pytest.WarningsRecorder
) -> None:
    tts.stream("Hello world.", voice, settings=QUICK)
    assert not recwarn.list


def test_the_mel_of_a_voice_is_that_of_its_recording(tts: IndexTTS, voice: Voice) -> None:
    samples = load_audio(support.TINY / "speaker.wav", tts.sample_rate)
    assert np.array_equal(tts.mel(samples), voice.mel[0, : voice.frames])


def test_warnings_point_at_the_caller(tts: IndexTTS, voice: Voice) -> None:
    with pytest.warns(UserWarning, match="emotion_alpha needs") as caught:
        tts.speak("Why?", voice, settings=dataclasses.replace(QUICK), emotion_alpha=0.5)
    assert caught[0].filename == __file__
