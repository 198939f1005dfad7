"""Long texts from Python: parts as they are ready, progress, cancellation, warnings."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax import Emotion, IndexTTS, InputError, Settings, TextWarning, Voice
from indextts_jax.audio.features import log_mel
from indextts_jax.audio.io import load_audio
from indextts_jax.config import bundled_config
from indextts_jax.engine import decoding, delivery
from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer

LONG = "Hello world. [pause 0.1s] A dog barks. [pause 0.1s] Why?"
CALLS: list[str] = []  # every stage that ran, since the test began


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    tokenizer = Tokenizer(support.CHECKPOINTS / "bpe.model")
    return IndexTTS(Model(bundled_config("tiny"), {"gpt": {"none": jnp.zeros(1)}}, tokenizer))


@pytest.fixture(scope="module")
def voice() -> Voice:
    nothing = jnp.zeros((1, 80))
    mel = jnp.zeros((1, 5, 80))  # of whatever sizes
    return Voice(mel, nothing, nothing, nothing, mel, mel, 5, mel, 5)


@pytest.fixture(autouse=True)
def _stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes its time is only noted: that the parts are right is tested in test_delivery."""

    def codes(*given: Any) -> tuple[np.ndarray, bool]:
        CALLS.append("codes")
        return np.arange(40), False

    def waves(model: Any, rows: Any, *_: Any) -> list[np.ndarray]:
        CALLS.extend(["wave"] * len(rows))
        return [np.full(256 * row.frames, 0.25, np.float32) for row in rows]

    CALLS.clear()
    monkeypatch.setattr(decoding, "search_line", codes)
    monkeypatch.setattr(delivery, "synthesize", waves)


class Stop(Exception):
    """What a caller raises to stop."""


def test_parts_come_as_they_are_ready(tts: IndexTTS, voice: Voice) -> None:
    stream = tts.stream(LONG, voice)
    for count in (1, 2, 3):
        assert len(next(stream).samples) > 0
        assert ["codes", "wave"] * count == CALLS


def test_a_stream_closed_early_runs_no_further_stage(tts: IndexTTS, voice: Voice) -> None:
    stream = tts.stream(LONG, voice)
    next(stream)
    stream.close()
    assert list(stream) == []
    assert CALLS == ["codes", "wave"]


def test_unread_stream_runs_no_stage(tts: IndexTTS, voice: Voice) -> None:
    tts.stream(LONG, voice)
    assert CALLS == []


def test_progress_callback_error_ends_only_the_stream(tts: IndexTTS, voice: Voice) -> None:
    def progress(done: int, of: int) -> None:
        if done == 1:
            raise Stop(f"{done} of {of}")

    stream = tts.stream(LONG, voice, progress=progress)
    with pytest.raises(Stop, match="1 of 3"):
        list(stream)
    assert CALLS == ["codes", "wave"]
    assert list(stream) == []
    assert len(tts.speak(LONG, voice).segments) == 3


def test_raising_callback_ends_the_stream_within_a_segment(tts: IndexTTS, voice: Voice) -> None:
    seen: list[str] = []

    def on_stage(stage: str) -> None:
        seen.append(stage)
        if len(seen) == 2:
            raise Stop

    with pytest.raises(Stop):
        tts.speak(LONG, voice, on_stage=on_stage)
    assert seen == ["codes 1/3", "codes 2/3"]
    assert CALLS == ["codes", "wave"]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (" ", {}),
        ("Hello.", {"emotion": Emotion(text="glad")}),
        ("Hello.", {"settings": Settings(max_codes=10**6)}),
        ("ЖЖ", {}),
    ],
    ids=["blank", "no reader", "max_codes", "unknown"],
)
def test_invalid_request_raises_at_the_call(
    tts: IndexTTS, voice: Voice, text: str, more: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        tts.stream(text, voice, **more)


def test_text_warning_is_given_once_per_call(tts: IndexTTS, voice: Voice) -> None:
    text = "Hello Ж. [pause 0.1s] A Ж barks."
    with pytest.warns(TextWarning) as caught:
        tts.speak(text, voice)
    (warning,) = caught
    assert "does not know: Ж at character 7, Ж at character 25" in str(warning.message)
    with pytest.warns(TextWarning, match="Ж"):
        tts.stream(text, voice)


def test_warnings_of_the_reader_are_shown(tts: IndexTTS, voice: Voice) -> None:
    (told,) = tts.script("念bua2吧").warnings
    with pytest.warns(TextWarning) as caught:
        tts.stream("念bua2吧", voice)
    assert told in {str(warning.message) for warning in caught}


def test_an_ordinary_text_warns_of_nothing(
    tts: IndexTTS, voice: Voice, recwarn: pytest.WarningsRecorder
) -> None:
    tts.stream("Hello world.", voice)
    assert not recwarn.list


def test_the_mel_is_the_model_s(tts: IndexTTS) -> None:
    samples = load_audio(support.TINY / "speaker.wav", tts.sample_rate)
    assert np.array_equal(tts.mel(samples), log_mel(samples, tts.model.config.mel))


def test_warnings_point_at_the_caller(tts: IndexTTS, voice: Voice) -> None:
    with pytest.warns(UserWarning, match="emotion_alpha needs") as caught:
        tts.speak("Why?", voice, emotion=Emotion(alpha=0.5))
    assert caught[0].filename == __file__
