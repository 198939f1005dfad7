"""Codes of many streams at once: certain before their search ends, and those of each alone."""

import collections
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax import IndexTTS, SamplingConfig, Settings, Voice
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine.acoustic import Line
from indextts_jax.engine.decoding import Queue, SlotDecoder, search_line
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.utils.stopwatch import Clock

TEXT = "Hello world, this is a rather long sentence."
CODES = 100


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


@pytest.fixture(scope="module")
def line(tts: IndexTTS, voice: Voice) -> Line:
    (spoken,) = tts.script(TEXT).segments
    return Line(spoken.ids, voice, emotion_vector(tts.model, voice))


def streamed(
    tts: IndexTTS, line: Line, sampling: SamplingConfig, count: int, slots: int
) -> dict[int, list[np.ndarray]]:
    """What was agreed of each seed, stop by stop, and its codes; some streams are given up."""
    rng, waiting = np.random.default_rng(0), collections.deque(range(count))
    given_up = set(rng.choice(count, count // 5, replace=False).tolist())
    queue = Queue(
        take=lambda: waiting.popleft() if waiting else None,
        line=lambda seed: line,
        key=lambda seed: segment_keys(seed, 0)[0],
    )
    decoder = SlotDecoder(tts.model, queue, sampling, slots, len(line.tokens), Clock())
    found: dict[int, list[np.ndarray]] = collections.defaultdict(list)
    while True:
        decoder.fill()
        held: list[Any] = list(decoder.held)
        if all(seed is None for seed in held):
            return {seed: parts for seed, parts in found.items() if seed not in given_up}
        ended = {seed: codes for seed, codes, _ in decoder.step(int(rng.integers(1, 9)))}
        agreed = decoder.agreed()
        for place, seed in enumerate(held):
            if seed is None:
                continue
            if seed in ended:
                found[seed].append(ended[seed])
                continue
            found[seed].append(agreed.codes[place, : agreed.lengths[place]])
            if seed in given_up and len(found[seed]) > 2:
                decoder.drop([place])


def check(
    tts: IndexTTS, line: Line, sampling: SamplingConfig, found: dict[int, list[np.ndarray]]
) -> None:
    for seed, parts in found.items():
        codes, _ = search_line(tts.model, line, sampling, segment_keys(seed, 0)[0])
        assert np.array_equal(parts[-1], codes)
        for part in parts:
            assert np.array_equal(part, codes[: len(part)])


def test_streams_side_by_side_have_the_codes_of_each_alone(tts: IndexTTS, line: Line) -> None:
    sampling = Settings().sampling_up_to(CODES)
    found = streamed(tts, line, sampling, count=6, slots=3)
    assert len(found) == 5
    check(tts, line, sampling, found)


@pytest.mark.nightly
@pytest.mark.parametrize("beams", [1, 3])
def test_hundred_streams_eight_at_once_have_the_codes_of_each_alone(
    tts: IndexTTS, line: Line, beams: int
) -> None:
    sampling = Settings(sampling=SamplingConfig(beams=beams)).sampling_up_to(CODES)
    found = streamed(tts, line, sampling, count=125, slots=8)
    assert len(found) == 100
    check(tts, line, sampling, found)
