"""Many live requests at once: the same speech as alone, whatever happens to the neighbours."""

import dataclasses
import queue
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.engine.live.jobs import Broken, Event, Finished, Job, LiveRequest
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure, InputError
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


def test_streams_side_by_side_are_those_alone(tts: IndexTTS, voice: Voice) -> None:
    """On two slots, with a neighbour that is cancelled in mid-decoding."""
    engine = LiveEngine(tts.model, TWO)
    listeners = [Listener(tts, voice, text, seed) for seed, text in enumerate(TEXTS)]
    gone = Listener(tts, voice, TEXTS[0], 9)
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
    for seed, (text, one) in enumerate(zip(TEXTS, listeners, strict=True)):
        *sounds, end = one.all()
        alone = tts.speak(text, voice, seed=seed, settings=QUICK)
        assert isinstance(end, Finished)
        assert end.segments == alone.segments
        together = np.concatenate([sound.samples for sound in sounds if isinstance(sound, Sound)])
        support.assert_close(together, alone.samples, "pipeline.buckets")
        firsts = [sound.first_sample for sound in sounds if isinstance(sound, Sound)]
        assert firsts == sorted(firsts)
        assert firsts[0] == 0


def test_cancelled_slot_is_free_after_one_tick(tts: IndexTTS, voice: Voice) -> None:
    engine = LiveEngine(tts.model, TWO)
    job = engine.submit(Listener(tts, voice, TEXTS[0], 0).request)
    engine.tick()
    assert engine.load().slots == 1
    engine.cancel(job)
    engine.tick()
    assert engine.load().slots == 0
    assert engine.idle


def test_a_tick_decodes_no_more_steps_than_its_budget(tts: IndexTTS, voice: Voice) -> None:
    engine = LiveEngine(tts.model, TWO)
    engine.submit(Listener(tts, voice, TEXTS[0], 0).request)
    engine.tick()
    assert engine.counts.steps == 4
    engine.budget.note(10.0, 1)
    engine.tick()
    assert engine.counts.steps == 5


def test_stream_that_nobody_reads_is_held_back(tts: IndexTTS, voice: Voice) -> None:
    engine = LiveEngine(tts.model, TWO)
    one = Listener(tts, voice, TEXTS[1], 0, ahead=0.01)
    job = engine.submit(one.request)
    work(engine)
    assert len(one.all()) == 1
    assert not engine.idle
    job.take(job.seconds)
    work(engine)
    assert isinstance(one.all()[-1], Finished)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(TWO, steps=3),
        dataclasses.replace(TWO, sampling=dataclasses.replace(TWO.sampling, beams=1)),
        dataclasses.replace(TWO, timing=Timing(duration=1.0)),
    ],
    ids=["steps", "beams", "duration"],
)
def test_settings_of_another_program_are_refused(
    tts: IndexTTS, voice: Voice, other: Settings
) -> None:
    engine = LiveEngine(tts.model, TWO)
    with pytest.raises(InputError):
        engine.submit(Listener(tts, voice, TEXTS[0], 0, settings=other).request)


def test_failed_engine_ends_every_job_and_says_so(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths: list[BaseException] = []
    engine = LiveEngine(tts.model, TWO, on_death=deaths.append)
    one = Listener(tts, voice, TEXTS[0], 0)

    def broken() -> bool:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "_decode", broken)
    engine.submit(one.request)
    engine.start()
    (end,) = one.all(wait=60)
    assert isinstance(end, Broken)
    engine.close()
    assert [str(error) for error in deaths] == ["out of memory"]
    assert not engine.alive
    with pytest.raises(Failure, match="out of memory"):
        engine.submit(one.request)
    with pytest.raises(Failure, match="out of memory"):
        engine.call(lambda: None)


def test_calls_run_on_the_engine_and_return_their_errors(tts: IndexTTS) -> None:
    engine = LiveEngine(tts.model, TWO)
    engine.start()
    assert engine.call(lambda: 3).result(60) == 3

    def wrong() -> None:
        raise InputError("no such file")

    with pytest.raises(InputError, match="no such file"):
        engine.call(wrong).result(60)
    engine.close()


def test_model_is_unloaded_when_nothing_comes(tts: IndexTTS) -> None:
    time = 0.0
    engine = LiveEngine(tts.model, TWO, unload_after=10.0, now=lambda: time)
    engine._unload_if_idle()
    assert engine.loaded
    time = 11.0
    engine._unload_if_idle()
    assert not engine.loaded
