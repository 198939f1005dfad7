"""Speech in chunks: the codes and, up to what cannot be known before, the sound of `speak`."""

import dataclasses
import functools

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax import Chunks, IndexTTS, SamplingConfig, Settings, Sound, Speech, Voice
from indextts_jax.engine.streaming import stream
from indextts_jax.engine.streaming.chunks import SIZES

TEXT = "Hello world, this is a rather long sentence."
PLAIN = Settings(steps=2, max_codes=130, sampling=SamplingConfig(beams=1))
FAST = dataclasses.replace(PLAIN, chunks=Chunks(first=25, seams="fast"))
LONG, SHORT = 10, 0  # seeds whose speech of TEXT has 79 codes, and 15


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


@functools.cache
def spoken(tts: IndexTTS, voice: Voice, seed: int) -> Speech:
    return tts.speak(TEXT, voice, settings=PLAIN, seed=seed)


def joined(sounds: list[Sound]) -> np.ndarray:
    """All samples; each sound says where its own begin."""
    said = 0
    for sound in sounds:
        assert sound.first_sample == said
        said += len(sound.samples)
    return np.concatenate([sound.samples for sound in sounds])


@pytest.fixture(autouse=True)
def _schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 25 codes, however fast the machine is."""
    monkeypatch.setattr(stream, "next_size", lambda *_: SIZES[0])


def test_short_segment_is_that_of_speak_bit_for_bit(tts: IndexTTS, voice: Voice) -> None:
    sounds = list(tts.stream(TEXT, voice, settings=FAST, seed=SHORT))
    whole = tts.speak(TEXT, voice, settings=PLAIN, seed=SHORT)
    assert [sound.final for sound in sounds] == list(whole.segments)
    assert np.array_equal(joined(sounds), whole.samples)


def test_chunks_are_the_speech_of_the_same_codes(tts: IndexTTS, voice: Voice) -> None:
    whole = tts.speak(TEXT, voice, settings=PLAIN, seed=LONG)
    sounds = list(tts.stream(TEXT, voice, settings=FAST, seed=LONG))
    samples = joined(sounds)
    assert len(sounds) >= 2
    assert [sound.final for sound in sounds] == [None] * (len(sounds) - 1) + list(whole.segments)
    assert samples.shape == whole.samples.shape
    print([len(s.samples) for s in sounds], [s.seam_frames for s in sounds])
    print(support.relative_errors(samples, whole.samples))
