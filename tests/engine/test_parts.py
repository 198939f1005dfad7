"""Parts of a script: frames, silences, faults and retries."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax.engine import decoding, delivery, parts
from indextts_jax.engine.faults import Fault, runaway_limit
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure, InputError
from indextts_jax.models.length_regulator import target_length
from indextts_jax.voices.analysis import Voice

QUICK = Settings(steps=2, max_codes=24)  # as in test_pipeline: compiled once for both
LONG = "Hello world. [pause 0.3s] A dog barks."


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


def settings(**more: Any) -> Settings:
    return dataclasses.replace(QUICK, **more)


def test_parts_concatenate_to_the_whole_with_progress(tts: IndexTTS, voice: Voice) -> None:
    seen: list[tuple[int, int]] = []
    parts = list(tts.stream(LONG, voice, settings=QUICK, progress=lambda *done: seen.append(done)))
    whole = tts.speak(LONG, voice, settings=QUICK)
    assert np.array_equal(np.concatenate([part.samples for part in parts]), whole.samples)
    assert tuple(part.segment for part in parts) == whole.segments
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_unconsumed_parts_are_not_synthesised(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = []
    real = decoding.search_line
    monkeypatch.setattr(decoding, "search_line", lambda *a: spoken.append(a) or real(*a))
    stream = tts.stream(LONG, voice, settings=QUICK)
    next(stream)
    stream.close()
    assert len(spoken) == 1


def test_a_segment_comes_out_of_silence_and_goes_into_it(tts: IndexTTS, voice: Voice) -> None:
    parts = list(tts.stream(LONG, voice, settings=QUICK))
    rate = tts.model.config.mel.sample_rate
    assert parts[0].samples[0] == 0
    silence = parts[0].samples[-int(0.3 * rate) :]
    assert not silence.any()
    assert abs(parts[0].samples[-int(0.3 * rate) - 1]) < 1e-3 * np.abs(parts[0].samples).max()
    assert parts[1].samples[0] == 0


@pytest.mark.parametrize("speed", [0.5, 1.3, 2.0])
def test_a_speed_divides_the_frames(tts: IndexTTS, voice: Voice, speed: float) -> None:
    usual = tts.speak("Hello world.", voice, settings=QUICK)
    ours = tts.speak("Hello world.", voice, settings=settings(timing=Timing(speed=speed)))
    (before,), (after,) = usual.segments, ours.segments
    assert after.codes == before.codes
    assert after.frames == max(1, math.floor(target_length(before.codes, 1.72) / speed))
    assert len(ours.samples) == after.frames * tts.model.config.mel.hop


def test_a_duration_is_met_to_half_a_frame(tts: IndexTTS, voice: Voice) -> None:
    usual = tts.speak(LONG, voice, settings=QUICK)
    seconds = usual.duration * 1.2
    ours = tts.speak(LONG, voice, settings=settings(timing=Timing(duration=seconds)))
    hop = tts.model.config.mel.hop
    assert abs(len(ours.samples) - seconds * ours.sample_rate) <= hop / 2
    with pytest.raises(InputError, match="this text takes"):
        tts.speak(LONG, voice, settings=settings(timing=Timing(duration=50.0)))


def test_faulty_segment_is_retried_with_another_seed(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seeds = delivery.segment_keys, []
    faults = itertools.chain([(Fault("a", "one"),), (Fault("b", "two"),)], itertools.repeat(()))
    monkeypatch.setattr(
        delivery, "segment_keys", lambda seed, index: seeds.append(seed) or real(seed, index)
    )
    monkeypatch.setattr(parts, "length_faults", lambda *a, **k: next(faults))
    ours = tts.speak("Hello world.", voice, settings=settings(retries=5), seed=7)
    assert seeds == [7, 8, 9, 9]  # three tries for codes, then the noise of the last
    assert ours.segments[0].tries == 3
    assert ours.segments[0].faults == ()
    monkeypatch.undo()
    again = tts.speak("Hello world.", voice, settings=QUICK, seed=9)
    assert np.array_equal(again.samples, ours.samples)


def test_the_last_try_keeps_its_faults(tts: IndexTTS, voice: Voice) -> None:
    short = settings(max_codes=2, retries=2)
    (segment,) = tts.speak("Hello world.", voice, settings=short).segments
    assert segment.tries == 3
    assert segment.truncated
    assert [fault.kind for fault in segment.faults] == ["endless"]
    (segment,) = tts.speak("Hello world.", voice, settings=settings(max_codes=2)).segments
    assert segment.tries == 1


def test_clipped_samples_are_retried_with_other_noise(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = itertools.chain([(Fault("clipped", "it clips"),)], itertools.repeat(()))
    monkeypatch.setattr(parts, "length_faults", lambda *a, **k: ())
    monkeypatch.setattr(delivery, "sample_faults", lambda wave: next(faults))
    (segment,) = tts.speak("Hello world.", voice, settings=settings(retries=1)).segments
    assert (segment.tries, segment.faults) == (2, ())


def speaking(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    """The model now gives so many codes, one number for each try, the last of them for the rest."""
    rest = itertools.chain(counts, itertools.repeat(counts[-1]))
    monkeypatch.setattr(
        decoding, "search_line", lambda *args: (np.ones(next(rest), np.int32), False)
    )


def kinds(speech: Speech) -> list[list[str]]:
    return [[fault.kind for fault in segment.faults] for segment in speech.segments]


def test_runaway_short_text_is_cut_with_a_warning(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(monkeypatch, 700)
    (script,) = tts.script("Yes.", QUICK).segments
    frames = []

    def silent(model: Any, rows: Any, settings: Any, clock: Any) -> list[np.ndarray]:
        frames.extend(row.frames for row in rows)
        return [np.zeros(256 * row.frames, np.float32) for row in rows]

    monkeypatch.setattr(delivery, "synthesize", silent)
    speech = tts.speak("Yes.", voice, settings=QUICK)
    assert speech.segments[0].codes == runaway_limit(script, 50)
    assert frames == [target_length(runaway_limit(script, 50), 1.72)]
    assert kinds(speech) == [["runaway"]]
    assert 3 < speech.duration < 5


def test_segment_without_codes_is_always_retried(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(monkeypatch, 0, 0, 20)
    speech = tts.speak("Hello world.", voice, settings=QUICK)
    assert (speech.segments[0].tries, kinds(speech)) == (3, [[]])


def test_empty_segment_is_reported_and_others_continue(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(monkeypatch, 20, 0)
    speech = tts.speak(LONG, voice, settings=QUICK)
    assert kinds(speech) == [[], ["empty"]]
    assert [segment.codes for segment in speech.segments] == [20, 0]
    assert speech.segments[1].frames == 0
    speaking(monkeypatch, 0)
    with pytest.raises(Failure, match="said nothing at all"):
        tts.speak(LONG, voice, settings=QUICK)


def test_nan_samples_become_silence_with_a_warning(
    tts: IndexTTS, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = np.full(256 * target_length(20, 1.72), 0.1, np.float32)
    broken[2000] = np.nan
    speaking(monkeypatch, 20)
    monkeypatch.setattr(delivery, "synthesize", lambda *args: [broken])
    speech = tts.speak("Hello world.", voice, settings=settings(retries=2))
    assert kinds(speech) == [["not_finite"]]
    assert speech.segments[0].tries == 3
    assert np.isfinite(speech.samples).all()
    assert (speech.samples[1999], speech.samples[2000]) == (np.float32(0.1), 0)
