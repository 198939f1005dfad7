"""Many live requests at once: the same speech as alone, whatever happens to the neighbours."""

import dataclasses
import queue
from typing import Any

import numpy as np
import pytest
import served
import support
from models_under_test import model

from indextts_jax.engine import delivery
from indextts_jax.engine.live import engine as live
from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.engine.live.jobs import Broken, Event, Finished, Job, LiveRequest
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming import spoken
from indextts_jax.engine.streaming.chunks import Chunks, Sound
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure, InputError
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice

QUICK = Settings(steps=2, max_codes=24)  # as in test_tts
TWO = dataclasses.replace(QUICK, batch=2)
TEXTS = ["Hello world.", "A dog barks. [pause 0.3s] Why?", "No cat is here at all.", "Yes."]


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


class Listener:
    """A caller that notes all events."""

    def __init__(self, tts: IndexTTS, voice: Voice, text: str, seed: int, **more: Any):
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        settings = more.pop("settings", TWO)
        script = tts.prepared(Request(text=text, voice=voice, seed=seed, settings=settings))
        self.request = LiveRequest(
            script=script(Clock()), settings=settings, sink=self.events.put, **more
        )

    def all(self, wait: float = 0.0) -> list[Event]:
        found: list[Event] = []
        while wait or not self.events.empty():
            found.append(self.events.get(timeout=wait or None))
            if not isinstance(found[-1], Sound):
                break
        return found


def work(engine: LiveEngine) -> None:
    """Ticks in this thread until nothing is left to do."""
    while engine.tick():
        pass


CHUNKED = dataclasses.replace(
    TWO, max_codes=120, chunks=Chunks(first=25, seams="fast"), sampling=SamplingConfig(beams=2)
)


@pytest.mark.nightly
@pytest.mark.parametrize("settings", [TWO, CHUNKED], ids=["segments", "chunks"])
def test_streams_side_by_side_have_the_codes_of_each_alone(
    tts: IndexTTS, voice: Voice, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two slots, with a neighbour that is cancelled in mid-decoding."""
    judged = []

    def noted(real: Any) -> Any:
        def judge(model: Any, spoken: Any, ids: Any, *rest: Any, **more: Any) -> Any:
            judged.append(ids.tolist())
            return real(model, spoken, ids, *rest, **more)

        return judge

    monkeypatch.setattr(live, "judge", noted(live.judge))
    monkeypatch.setattr(spoken, "judge", noted(spoken.judge))
    monkeypatch.setattr(delivery, "judge", noted(delivery.judge))
    engine = LiveEngine(tts.model, settings)
    listeners = [
        Listener(tts, voice, text, seed, settings=settings) for seed, text in enumerate(TEXTS)
    ]
    gone = Listener(tts, voice, TEXTS[0], 9, settings=settings)
    cancelled: Job = engine.submit(gone.request)
    for one in listeners:
        engine.submit(one.request)
    engine.tick()
    assert engine.load().slots == 2
    engine.cancel(cancelled)
    work(engine)
    assert engine.idle
    assert engine.counts.cancelled == 1
    assert gone.all() == []
    together = sorted(judged)
    judged.clear()
    alone = dataclasses.replace(settings, batch=1, chunks=None)
    for seed, (text, one) in enumerate(zip(TEXTS, listeners, strict=True)):
        *sounds, end = one.all()
        assert isinstance(end, Finished)
        whole = tts.speak(text, voice, seed=seed, settings=alone)
        assert [part.codes for part in end.segments] == [part.codes for part in whole.segments]
        heard = np.concatenate([sound.samples for sound in sounds if isinstance(sound, Sound)])
        firsts = [sound.first_sample for sound in sounds if isinstance(sound, Sound)]
        assert firsts == sorted(set(firsts))
        if settings.chunks is None:
            assert end.segments == whole.segments
            support.assert_close(heard, whole.samples, "pipeline.buckets")
        assert len(heard) == len(whole.samples)
    assert together == sorted(judged)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An engine whose networks are replaced by a tone."""
    return served.tone_state(monkeypatch).engine


def request(engine: Any, text: str = TEXTS[0], **more: Any) -> tuple[LiveRequest, Any]:
    """A request to it, and what notes its events."""
    one = Listener(IndexTTS(engine.model), served.blank_voice(), text, 0, **more)
    return one.request, one


def test_cancelled_slot_is_free_after_one_tick(engine: Any) -> None:
    engine.steps = 100
    job = engine.submit(request(engine, settings=engine.settings)[0])
    engine.tick()
    assert engine.load().slots == 1
    engine.cancel(job)
    engine.tick()
    assert engine.load().slots == 0
    assert engine.idle


def test_at_most_two_segments_get_a_slot_in_a_tick(engine: Any) -> None:
    engine.steps = 100
    for _ in range(5):
        engine.submit(request(engine, settings=engine.settings)[0])
    used = []
    for _ in range(3):
        engine.tick()
        used.append(engine.load().slots)
    assert used == [2, 4, 4]


def test_stream_that_nobody_reads_is_held_back(engine: Any) -> None:
    given, one = request(engine, TEXTS[1], settings=engine.settings, ahead=0.01)
    job = engine.submit(given)
    work(engine)
    assert len(one.all()) == 1
    assert not engine.idle
    job.take(job.seconds)
    work(engine)
    assert isinstance(one.all()[-1], Finished)


def test_first_segment_of_a_slow_engine_says_how_long_to_wait(engine: Any) -> None:
    job = engine.submit(request(engine, TEXTS[1], settings=engine.settings)[0])
    engine._receive()
    assert engine._wait_for_segments(job, 0) == 0.0  # nothing was measured
    engine.speed.note(1.0, 40.0)
    first, second = job.expected
    assert engine._wait_for_segments(job, 0) == pytest.approx(40 * second - first)
    assert engine._wait_for_segments(job, 1) == 0.0  # nothing follows


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 3},
        {"sampling": SamplingConfig(beams=1)},
        {"timing": Timing(duration=1.0)},
        {"chunks": Chunks()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_settings_of_another_program_are_refused(engine: Any, change: dict[str, Any]) -> None:
    given, _ = request(engine, settings=engine.settings)
    other = dataclasses.replace(engine.settings, **change)
    with pytest.raises(InputError):
        engine.submit(dataclasses.replace(given, settings=other))


def test_failed_engine_ends_every_job_and_says_so(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths: list[BaseException] = []
    engine.on_death = deaths.append
    given, one = request(engine, settings=engine.settings)

    def broken() -> bool:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "_decode", broken)
    engine.submit(given)
    engine.start()
    (end,) = one.all(wait=60)
    assert isinstance(end, Broken)
    engine.close()
    assert [str(error) for error in deaths] == ["out of memory"]
    assert not engine.alive
    with pytest.raises(Failure, match="out of memory"):
        engine.submit(given)
    with pytest.raises(Failure, match="out of memory"):
        engine.call(lambda: None)


def test_calls_run_on_the_engine_and_return_their_errors(engine: Any) -> None:
    engine.start()
    assert engine.call(lambda: 3).result(60) == 3

    def wrong() -> None:
        raise InputError("no such file")

    with pytest.raises(InputError, match="no such file"):
        engine.call(wrong).result(60)
    engine.close()


def test_model_is_unloaded_when_nothing_comes(engine: Any) -> None:
    time = 0.0
    idle = LiveEngine(engine.model, engine.settings, unload_after=10.0, now=lambda: time)
    idle._unload_if_idle()
    assert idle.loaded
    time = 11.0
    idle._unload_if_idle()
    assert not idle.loaded
