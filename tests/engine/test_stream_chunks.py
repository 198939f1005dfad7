"""Speech in chunks: the codes of `speak`, and its sound up to what cannot be known before."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax import Chunks, IndexTTS, InputError, SamplingConfig, Settings, Sound, Voice
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine import delivery
from indextts_jax.engine.acoustic import Line, condition_rows
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.streaming import spoken, stream
from indextts_jax.engine.streaming.acoustic import make_chunks
from indextts_jax.engine.streaming.frames import frame_map
from indextts_jax.engine.streaming.segment import SegmentStream, host_prompt
from indextts_jax.runtime.versions.interface import GrowingRows
from indextts_jax.utils.stopwatch import Clock

TEXT = "Hello world, this is a rather long sentence."
PLAIN = Settings(steps=2, max_codes=130, sampling=SamplingConfig(beams=1))
FAST = dataclasses.replace(PLAIN, chunks=Chunks(first=25, seams="fast"))
SHORT, LONG = 0, 7  # seeds whose speech of the text has 15 codes, and 97


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


@pytest.fixture(autouse=True)
def _schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 25 codes, however fast the machine is."""
    monkeypatch.setattr(stream, "next_size", lambda *_: 25)


def joined(sounds: list[Sound]) -> np.ndarray:
    """All samples; each sound says where its own begin."""
    said = 0
    for sound in sounds:
        assert sound.first_sample == said
        said += len(sound.samples)
    return np.concatenate([sound.samples for sound in sounds])


def test_short_segment_is_that_of_speak_bit_for_bit(tts: IndexTTS, voice: Voice) -> None:
    sounds = list(tts.stream(TEXT, voice, settings=FAST, seed=SHORT))
    whole = tts.speak(TEXT, voice, settings=PLAIN, seed=SHORT)
    assert [sound.final for sound in sounds] == list(whole.segments)
    assert np.array_equal(joined(sounds), whole.samples)


def test_chunks_are_the_speech_of_the_same_codes(tts: IndexTTS, voice: Voice) -> None:
    whole = tts.speak(TEXT, voice, settings=PLAIN, seed=LONG, timings=True)
    sounds: list[Sound] = list(tts.stream(TEXT, voice, settings=FAST, seed=LONG, timings=True))
    samples = joined(sounds)
    assert [sound.words is None for sound in sounds] == [True, True, True, False]
    words, expected = (
        [dataclasses.replace(word, start=None, end=None) for word in run or ()]
        for run in (sounds[-1].words, whole.words)
    )
    assert words == expected
    assert [sound.final for sound in sounds] == [None, None, None, *whole.segments]
    assert [sound.seam_frames for sound in sounds] == [(), (43,), (86,), (129,)]
    assert samples.shape == whole.samples.shape
    # What follows a chunk changes its mel a little, and differently for other weights.
    assert support.relative_errors(samples, whole.samples)[0] < 5e-3  # measured 1.2e-3


def test_stream_closed_between_chunks_leaves_nothing_behind(tts: IndexTTS, voice: Voice) -> None:
    sounds = tts.stream(TEXT, voice, settings=FAST, seed=LONG)
    first = next(sounds)
    sounds.close()
    assert list(sounds) == []
    again = next(tts.stream(TEXT, voice, settings=FAST, seed=LONG))
    assert np.array_equal(first.samples, again.samples)


def test_callback_that_raises_ends_only_its_stream(tts: IndexTTS, voice: Voice) -> None:
    seen: list[str] = []

    def on_stage(stage: str) -> None:
        seen.append(stage)
        if stage == "vocoder":
            raise KeyError(stage)

    with pytest.raises(KeyError):
        list(tts.stream(TEXT, voice, settings=FAST, seed=LONG, on_stage=on_stage))
    assert seen[-1] == "vocoder"
    assert len(next(tts.stream(TEXT, voice, settings=FAST, seed=LONG)).samples) > 0


def test_requests_that_cannot_be_streamed_are_refused_at_once(tts: IndexTTS, voice: Voice) -> None:
    with pytest.raises(InputError, match="the text is empty"):
        tts.stream(" ", voice, settings=FAST)


@pytest.mark.nightly
@pytest.mark.parametrize("beams", [1, 3])
def test_streams_have_the_codes_of_speak(
    tts: IndexTTS, voice: Voice, beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 utterances of each search, four segments at once; some streams are left in between."""
    for module in (spoken, delivery):  # the codes themselves, in place of a number made of them
        monkeypatch.setattr(module, "longest_repeat", lambda codes: hash(codes.tobytes()))
    sampling = SamplingConfig(beams=beams)
    plain = dataclasses.replace(PLAIN, sampling=sampling, steps=1)
    text = " [pause 0.1s] ".join(["Hello world.", "A dog barks.", TEXT, "Why is it so?"])
    for seed in range(25):
        for batch in (1, 4) if seed % 5 == 0 else (4,):
            settings = dataclasses.replace(FAST, sampling=sampling, steps=1, batch=batch)
            left = tts.stream(text, voice, settings=settings, seed=seed + 100)
            next(left)
            sounds: list[Any] = list(tts.stream(text, voice, settings=settings, seed=seed))
            left.close()
            whole = tts.speak(text, voice, settings=plain, seed=seed)
            found = tuple(sound.final for sound in sounds if sound.final is not None)
            assert found == whole.segments
            assert sum(len(sound.samples) for sound in sounds) == len(whole.samples)


@pytest.mark.nightly
def test_chunks_of_streams_that_share_a_call_are_those_of_each_alone(
    tts: IndexTTS, voice: Voice
) -> None:
    codes = [np.random.default_rng(seed).integers(0, 60, 63).astype(np.int32) for seed in (0, 1)]
    settings = dataclasses.replace(FAST, batch=2)
    (spoken_text,) = tts.script(TEXT).segments
    line = Line(spoken_text.ids, voice, emotion_vector(tts.model, voice))
    frames = frame_map(tts.model, settings.timing, Chunks(first=25, seams="fast"))

    def begun(number: int) -> SegmentStream:
        growing = GrowingRows(condition_rows(tts.model, [line]))
        key = segment_keys(number, 0)[1]
        return SegmentStream(key, frames, growing, host_prompt(voice))

    def waves(streams: list[SegmentStream], numbers: list[int]) -> list[list[np.ndarray]]:
        made = []
        for known in (38, 63):
            for stream_, number in zip(streams, numbers, strict=True):
                stream_.extend(codes[number][:known])
            chunks = [stream_.cut(25) for stream_ in streams]
            made.append([w.samples for w in make_chunks(tts.model, chunks, settings, Clock())])
        return made

    together = waves([begun(0), begun(1)], [0, 1])
    for number in (0, 1):
        for both, (alone,) in zip(together, waves([begun(number)], [number]), strict=True):
            support.assert_close(both[number], alone, "pipeline.buckets")
