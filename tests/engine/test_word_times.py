"""Words with their times in speech, parts and stored segments."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax.checkpoint import alignment
from indextts_jax.checkpoint.alignment import Alignment, ScoredHead
from indextts_jax.checkpoint.provenance import ComponentRecord, Provenance
from indextts_jax.engine.alignment.words import joined_words, merged, timing_faults
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.segment_store import SegmentStore
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.streaming import stream
from indextts_jax.engine.streaming.chunks import Chunks
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.timings.source import source_words
from indextts_jax.timings.words import SegmentTimes, Word
from indextts_jax.utils.strict_data import to_data
from indextts_jax.voices.analysis import Voice

TEXT = "[pause 0.1s] Hello, it is 7:05 😀. [pause 0.2s] A dog barks."
QUICK = Settings(steps=2, max_codes=24)
DIGEST = "d" * 64
RECORD = Provenance(
    format=2,
    created="2026",
    dtype="float32",
    sources=(),
    ignored=(),
    versions=(),
    files=(),
    components=(ComponentRecord(name="gpt", parameters=1, bytes=4, files=(), digest=DIGEST),),
)


def heads_file(**changes: Any) -> bytes:
    heads = (ScoredHead(layer=1, head=0, score=0.9), ScoredHead(layer=0, head=1, score=0.8))
    made = Alignment(
        format=1,
        created="2026",
        fingerprint=alignment.fingerprint(RECORD),
        sentences=9,
        heads=heads,
    )
    return json.dumps(to_data(made) | changes).encode()


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def calibrated(tts: IndexTTS) -> IndexTTS:
    found = dataclasses.replace(tts.model, provenance=RECORD, alignment=heads_file())
    return IndexTTS(found)


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


@pytest.fixture(scope="module")
def plain(tts: IndexTTS, voice: Voice) -> Speech:
    return tts.speak(TEXT, voice, settings=QUICK)


@pytest.fixture(scope="module")
def timed(calibrated: IndexTTS, voice: Voice) -> Speech:
    return calibrated.speak(TEXT, voice, settings=QUICK, timings=True)


def checked(speech: Speech, method: str) -> None:
    """Whether every word is there, in order, and inside the speech."""
    assert speech.words is not None
    assert [word.text for word in speech.words] == [w.text for w in source_words(speech.text)]
    assert {word.method for word in speech.words} == {method}
    edges = [(w.start, w.end) for w in speech.words if w.start is not None and w.end is not None]
    flat = list(itertools.chain(*edges))
    assert flat == sorted(flat)
    assert flat[0] >= 0.1  # the pause in front
    assert flat[-1] <= speech.duration
    assert all((word.start is None) is (word.reason is not None) for word in speech.words)


def test_samples_are_the_same_bits_with_times(plain: Speech, timed: Speech) -> None:
    assert np.array_equal(plain.samples, timed.samples)
    assert plain.words is None


def test_words_have_times_from_attention(timed: Speech) -> None:
    checked(timed, "attention")
    assert timed.words is not None
    assert timed.words[4].reason == "not read"


def test_without_heads_the_times_are_an_estimate(tts: IndexTTS, voice: Voice) -> None:
    found = tts.speak(TEXT, voice, settings=QUICK, timings=True)
    checked(found, "estimate")
    assert not {"skipped", "repeated"} & {f.kind for s in found.segments for f in s.faults}


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 7], ids=["short", "chunks"])
def test_last_sound_of_a_segment_has_its_words(
    calibrated: IndexTTS, voice: Voice, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With seed 7 the first segment is longer than a chunk; attention is that of the whole."""
    monkeypatch.setattr(stream, "next_size", lambda *_: 25)
    text = "[pause 0.1s] Hello world, this is a rather long sentence. [pause 0.2s] It is 7:05 😀."
    plain = Settings(steps=2, max_codes=130, sampling=SamplingConfig(beams=1))
    chunks = dataclasses.replace(plain, chunks=Chunks(first=25, seams="fast"))
    sounds = list(calibrated.stream(text, voice, settings=chunks, seed=seed, timings=True))
    untimed = list(calibrated.stream(text, voice, settings=chunks, seed=seed))
    whole = calibrated.speak(text, voice, settings=plain, seed=seed, timings=True)
    assert [len(one.samples) for one in sounds] == [len(one.samples) for one in untimed]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(sounds, untimed, strict=True))
    assert [one.words is not None for one in sounds] == [one.final is not None for one in sounds]
    words = merged(itertools.chain(*(one.words or () for one in sounds)))
    found, expected = (
        [(w.text, w.char_start, w.char_end, w.confidence, w.method, w.reason) for w in run]
        for run in (words, whole.words or ())
    )
    assert found == expected
    checked(dataclasses.replace(whole, words=words), "attention")
    # An edge may move within 30 ms for a level that differs, and a code is 20 ms.
    for one, other in zip(words, whole.words or (), strict=True):
        assert one.start is None or abs(one.start - (other.start or 0)) < 0.06


def test_parts_have_words_in_their_own_seconds(calibrated: IndexTTS, voice: Voice) -> None:
    parts = list(calibrated.stream(TEXT, voice, settings=QUICK, timings=True))
    for part in parts:
        assert part.words is not None
        ends = [word.end for word in part.words if word.end is not None]
        assert max(ends, default=0.0) <= len(part.samples) / calibrated.sample_rate
    assert [w.text for w in parts[1].words or ()] == ["A", "dog", "barks"]


@pytest.mark.nightly
def test_requests_in_a_batch_have_words(calibrated: IndexTTS, voice: Voice) -> None:
    settings = dataclasses.replace(QUICK, batch=2, timing=Timing(speed=1.5))
    found = calibrated.speak(TEXT, voice, settings=settings, timings=True)
    checked(found, "attention")


@pytest.mark.nightly
def test_version_2_5_has_words_from_a_pass_of_its_own(voice: Voice) -> None:
    tts = IndexTTS(dataclasses.replace(model("tiny25"), provenance=RECORD, alignment=heads_file()))
    own = tts.voice(support.TINY / "speaker.wav")
    more = {"settings": QUICK, "language": "en"}
    plain = tts.speak("Hello 7:05.", own, **more)
    timed = tts.speak("Hello 7:05.", own, timings=True, **more)
    assert np.array_equal(plain.samples, timed.samples)
    assert timed.words is not None
    assert [word.method for word in timed.words] == ["attention"] * 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "damaged"),
        (heads_file(format=2), "has format 2"),
        (heads_file(fingerprint="0"), "another GPT"),
        (heads_file(heads=[]), "expected different heads"),
        (heads_file(heads=[{"layer": 99, "head": 0, "score": 1.0}]), r"of \d layers"),
        (heads_file(more=1), "unknown key more"),
    ],
)
def test_a_wrong_file_of_heads_is_refused_at_the_call(
    tts: IndexTTS, voice: Voice, data: bytes, reason: str
) -> None:
    wrong = IndexTTS(dataclasses.replace(tts.model, provenance=RECORD, alignment=data))
    with pytest.raises(InputError, match=rf"alignment\.json.*{reason}.*align calibrate"):
        wrong.stream("Hello.", voice, timings=True)
    wrong.stream("Hello.", voice)  # without times nobody needs it


def test_stored_segments_keep_their_words(
    calibrated: IndexTTS, voice: Voice, tmp_path: Path
) -> None:
    (part, *_) = calibrated.stream("A dog.", voice, settings=QUICK, timings=True)
    store = SegmentStore.open(tmp_path / "a", "key")
    store.write(0, part)
    assert store.parts()[0].words == part.words


def test_speech_without_times_writes_no_file(plain: Speech, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="timings=True"):
        plain.save_timings(tmp_path / "a.srt")


def word(text: str, start: float | None, end: float | None, place: int) -> Word:
    return Word(text, start, end, place, place + 3, text, 0.5, "attention", None)


def test_a_word_cut_between_parts_is_one() -> None:
    first = (word("abc", 0.0, 0.4, 0), word("123", 0.5, 0.9, 4))
    second = (word("123", 0.0, 0.3, 4), word("def", 0.4, 0.6, 8))
    found = joined_words([(first, 1.0), (second, 1.0)])
    assert [(w.text, w.start, w.end) for w in found] == [
        ("abc", 0.0, 0.4),
        ("123", 0.5, 1.3),
        ("def", 1.4, 1.6),
    ]
    assert found[1].spoken == "123 123"


def test_skipped_and_repeated_words_are_faults() -> None:
    words = (word("abc", 0.0, 0.4, 0), word("123", 0.5, 0.9, 4))
    faults = timing_faults(SegmentTimes(words, skipped=(1,), repeated=(0,)))
    assert [fault.kind for fault in faults] == ["skipped", "repeated"]
    assert "'123'" in faults[0].message
    assert timing_faults(SegmentTimes(words)) == timing_faults(None) == ()
