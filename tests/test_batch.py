"""Many requests at once."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax import batch, delivery
from indextts_jax.batch import Sounding, Ticket, Utterance, due, row_count
from indextts_jax.errors import InputError
from indextts_jax.pipeline import IndexTTS
from indextts_jax.prompts import Voice
from indextts_jax.settings import Settings
from indextts_jax.timing import Timing

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
def requests(tts: IndexTTS, voice: Voice) -> list[Utterance]:
    return [Utterance(text=text, voice=voice, seed=seed) for seed, text in enumerate(TEXTS)]


def test_requests_of_a_batch_are_what_they_are_alone(
    tts: IndexTTS, voice: Voice, requests: list[Utterance]
) -> None:
    together = tts.speak_many(requests, settings=THREE)
    for one, ours in zip(requests, together, strict=True):
        alone = tts.speak(one.text, voice, seed=one.seed, settings=QUICK)
        assert ours.segments == alone.segments
        support.assert_close(ours.samples, alone.samples, "pipeline.buckets")
