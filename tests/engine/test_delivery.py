"""Many requests at once."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax.engine import delivery
from indextts_jax.engine.delivery import DecodedSegment, QueuedSegment, next_group, row_count
from indextts_jax.engine.faults import Fault
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.voices.analysis import Voice

QUICK = Settings(steps=2, max_codes=24)  # as in test_pipeline
THREE = dataclasses.replace(QUICK, batch=3)
TEXTS = ["Hello world.", "A dog barks. [pause 0.3s] Why?", "No cat is here at all.", "Yes."]


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


@pytest.fixture(scope="module")
def requests(tts: IndexTTS, voice: Voice) -> list[Request]:
    return [Request(text=text, voice=voice, seed=seed) for seed, text in enumerate(TEXTS)]


@pytest.mark.nightly
def test_requests_of_a_batch_are_what_they_are_alone(
    tts: IndexTTS, voice: Voice, requests: list[Request]
) -> None:
    together = tts.speak_many(requests, settings=THREE)
    for one, ours in zip(requests, together, strict=True):
        alone = tts.speak(one.text, voice, seed=one.seed, settings=QUICK)
        assert ours.segments == alone.segments
        support.assert_close(ours.samples, alone.samples, "pipeline.buckets")


@pytest.mark.nightly
def test_batch_is_deterministic_and_results_stream(tts: IndexTTS, requests: list[Request]) -> None:
    seen: list[tuple[int, int]] = []
    many = tts.stream_many(requests, settings=THREE, progress=lambda *done: seen.append(done))
    found = dict(many)
    again = tts.speak_many(requests, settings=THREE)
    assert sorted(found) == [0, 1, 2, 3]
    for number, speech in enumerate(again):
        assert np.array_equal(found[number].samples, speech.samples)
    assert seen == [(done, 5) for done in range(6)]


@pytest.mark.nightly
def test_a_long_text_in_a_batch_comes_in_order(tts: IndexTTS, voice: Voice) -> None:
    text = " [pause 0.1s] ".join(TEXTS)
    alone = tts.speak(text, voice, settings=QUICK)
    together = tts.speak(text, voice, settings=THREE)
    parts = list(tts.stream(text, voice, settings=THREE))
    assert together.segments == alone.segments == tuple(part.segment for part in parts)
    streamed = np.concatenate([part.samples for part in parts])
    support.assert_close(together.samples, alone.samples, "pipeline.buckets")
    support.assert_close(streamed, alone.samples, "pipeline.buckets")


@pytest.mark.nightly
def test_voices_of_different_lengths_share_a_batch(tts: IndexTTS, voice: Voice) -> None:
    other = tts.voice(support.TINY / "emotion.wav")
    longer = dataclasses.replace(
        other,
        mel=jnp.pad(other.mel, ((0, 0), (0, 128), (0, 0)), constant_values=7.0),
        condition=jnp.pad(other.condition, ((0, 0), (0, 128), (0, 0)), constant_values=7.0),
    )
    requests = [Request(text="Hello world.", voice=one, seed=4) for one in (voice, longer)]
    together = tts.speak_many(requests, settings=dataclasses.replace(QUICK, batch=2))
    for one, ours in zip((voice, other), together, strict=True):
        alone = tts.speak("Hello world.", one, seed=4, settings=QUICK)
        assert ours.segments == alone.segments
        support.assert_close(ours.samples, alone.samples, "pipeline.buckets")


@pytest.mark.nightly
def test_faulty_segment_is_retried_with_another_seed(
    tts: IndexTTS, voice: Voice, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Fault("short", "too short")
    real = delivery.judge

    def judge(model: Any, spoken: Any, ids: Any, attempt: int, *rest: Any, **more: Any) -> Any:
        kept, _, _ = real(model, spoken, ids, attempt, *rest, **more)
        if spoken.text.upper().startswith("A DOG") and attempt < 2:
            return kept, (wrong,), True
        return kept, (), False

    monkeypatch.setattr(delivery, "judge", judge)
    together = tts.speak_many(requests, settings=THREE)
    assert [[segment.tries for segment in one.segments] for one in together] == [
        [1],
        [3, 1],
        [1],
        [1],
    ]
    monkeypatch.undo()
    other = tts.speak(TEXTS[1], voice, seed=3, settings=QUICK)
    assert together[1].segments[0].codes == other.segments[0].codes


@pytest.mark.nightly
def test_faulty_samples_are_retried_with_other_noise(
    tts: IndexTTS, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = requests[:1] + requests[2:]
    first = tts.speak_many(some, settings=THREE)
    monkeypatch.setattr(delivery, "sample_faults", lambda wave: (Fault("a", "one"),))
    second = tts.speak_many(some, settings=dataclasses.replace(THREE, retries=1))
    for one, again in zip(first, second, strict=True):
        assert [segment.tries for segment in again.segments] == [2] * len(one.segments)
        if not any(segment.truncated for segment in one.segments):  # else codes are drawn anew
            assert [s.codes for s in again.segments] == [s.codes for s in one.segments]
        assert not np.array_equal(again.samples, one.samples)


@pytest.mark.nightly
def test_a_duration_is_met_by_each_request(tts: IndexTTS, requests: list[Request]) -> None:
    some = requests[::2]  # of one segment
    seconds = 1.1 * max(speech.duration for speech in tts.speak_many(some, settings=THREE))
    settings = dataclasses.replace(THREE, timing=Timing(duration=seconds))
    for speech in tts.speak_many(some, settings=settings):
        wanted = seconds * speech.sample_rate
        assert abs(len(speech.samples) - wanted) <= tts.model.config.mel.hop / 2


def test_a_request_that_cannot_be_met_is_named_before_any_work(
    tts: IndexTTS, requests: list[Request]
) -> None:
    wrong = dataclasses.replace(requests[0], text="   ")
    with pytest.raises(InputError, match=r"request 2 \(from 0\): the text is empty"):
        tts.stream_many([*requests[:2], wrong])
    with pytest.raises(InputError, match="batch must be at least 1"):
        Settings(batch=0)


@pytest.mark.parametrize(
    ("waiting", "batch", "rows"), [(9, 4, 4), (4, 4, 4), (3, 4, 2), (1, 4, 1), (5, 6, 4), (6, 6, 6)]
)
def test_few_numbers_of_rows_run(waiting: int, batch: int, rows: int) -> None:
    assert row_count(waiting, batch) == rows


def decoded(request: int, index: int = 0) -> DecodedSegment:
    return DecodedSegment(QueuedSegment(request, index), np.zeros(1, np.int32), (), 1)


def test_vocoder_batches_have_one_padded_length() -> None:
    waiting = [decoded(job) for job in range(5)]
    sizes = [128, 256, 128, 256, 128]
    assert next_group(waiting, sizes, 3, first=None, last=False) == [0, 2, 4]
    assert next_group(waiting, sizes, 4, first=None, last=False) == []
    assert next_group(waiting, sizes, 4, first=None, last=True) == [1, 3]
    assert next_group(waiting, sizes, 4, first=(4, 0), last=False) == [4, 0]
    assert next_group(waiting, sizes, 4, first=(9, 0), last=False) == []
    assert next_group([], [], 4, first=None, last=True) == []
