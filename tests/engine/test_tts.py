"""From a text and a voice to a waveform."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax.config import BucketConfig, RunConfig
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.acoustic import Line, SynthesisRow, encode_rows, mel_of_rows
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.models.length_regulator import target_length
from indextts_jax.runtime.inner_stages import prototype_rows
from indextts_jax.runtime.precision import cast
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.voices.analysis import (
    EmotionPrompt,
    Signals,
    Voice,
    analyse_emotion,
    analyse_signals,
)

TEXT = "Hello world."
QUICK = Settings(steps=2, max_codes=24)


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS(model("tiny"))


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


def speak(tts: IndexTTS, voice: Voice, text: str = TEXT, **more: Any) -> Speech:
    return tts.speak(text, voice, **({"settings": QUICK} | more))


def test_same_seed_gives_the_same_waveform(tts: IndexTTS, voice: Voice) -> None:
    first = speak(tts, voice)
    speak(tts, voice, "Something else.", seed=5)
    assert np.array_equal(speak(tts, voice).samples, first.samples)


def test_another_seed_gives_another_waveform(tts: IndexTTS, voice: Voice) -> None:
    a, b = (speak(tts, voice, seed=seed).samples for seed in (0, 1))
    assert a.shape != b.shape or not np.array_equal(a, b)


def test_a_new_sentence_compiles_nothing(tts: IndexTTS, voice: Voice) -> None:
    compilations = []

    def listen(event: str, seconds: float, **rest: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(event)

    speak(tts, voice)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for text in ("A dog barks.", "No cat is here at all.", "Why?"):
            speak(tts, voice, text)
        assert compilations == []
        jax.jit(lambda x: x * 3.25)(1.0)
        assert len(compilations) == 1  # the listener does hear
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.nightly  # compiles everything; each network with padding has a test of its own
def test_buckets_change_nothing_but_rounding(tts: IndexTTS, voice: Voice) -> None:
    exact = BucketConfig(text=(1,), features=(1,), codes=(1,), frames=(1,))
    run = RunConfig(buckets=exact)
    alone = IndexTTS(dataclasses.replace(tts.model, run=run))
    ours = speak(tts, voice).samples
    theirs = speak(alone, alone.voice(support.TINY / "speaker.wav")).samples
    support.assert_close(ours, theirs, "pipeline.buckets")


def test_a_long_text_is_spoken_in_segments_with_silence_between(
    tts: IndexTTS, voice: Voice
) -> None:
    settings = dataclasses.replace(QUICK, segment_tokens=12, pause=0.2)
    speech = speak(tts, voice, "The cat sat. The dog ran. The bird sang.", settings=settings)
    assert len(speech.segments) > 1
    first = speech.segments[0].frames * 256
    silence = int(22050 * 0.2)
    assert not speech.samples[first : first + silence].any()
    assert speech.samples[first + silence :][:256].any()
    pauses = (len(speech.segments) - 1) * silence
    assert len(speech.samples) == sum(s.frames for s in speech.segments) * 256 + pauses


def test_samples_are_float32_within_full_scale(tts: IndexTTS, voice: Voice) -> None:
    speech = speak(tts, voice)
    assert speech.samples.dtype == np.float32
    assert np.abs(speech.samples).max() <= 1
    assert speech.sample_rate == 22050


def test_greedy_decoding_does_not_depend_on_the_seed(tts: IndexTTS, voice: Voice) -> None:
    settings = dataclasses.replace(QUICK, sampling=SamplingConfig(beams=1, sample=False))
    counts = {speak(tts, voice, settings=settings, seed=s).segments[0].codes for s in (0, 1, 2)}
    assert len(counts) == 1


def test_noise_past_the_flow_length_has_no_effect(tts: IndexTTS, voice: Voice) -> None:
    rng = np.random.default_rng(0)
    target = target_length(20, 1.72)
    line = Line([5, 6, 7], voice, emotion_vector(tts.model, voice))
    rows = [SynthesisRow(line, np.arange(20, dtype=np.int32), target)]
    coded = encode_rows(tts.model, rows)
    frames = voice.frames + target
    noise = rng.normal(size=(1, 384, 80)).astype(np.float32)
    other = noise.copy()
    other[:, frames:] = 1e4
    mels = [
        mel_of_rows(tts.model, rows, coded, jnp.asarray(n), steps=2, guidance=0.7)[0]
        for n in (noise, other)
    ]
    assert np.array_equal(*mels)


def test_voice_as_emotion_prompt_gives_its_own_emotion(tts: IndexTTS, voice: Voice) -> None:
    own = emotion_vector(tts.model, voice)
    support.assert_close(own, voice.own, "emotion_vector.merge")


def test_emotion_prompt_reuses_voice_analysis(tts: IndexTTS, voice: Voice) -> None:
    clip, empty = support.TINY / "speaker.wav", dataclasses.replace(tts.model, params={})

    assert analyse_emotion(empty, clip, voice=voice).vector is voice.own
    with pytest.raises(InputError, match="semantic_encoder"):
        analyse_emotion(empty, clip, start=0.25, voice=voice)


def test_a_recording_at_the_rate_of_the_mel_is_analysed_once(tts: IndexTTS) -> None:
    """Both routes to 16 kHz give the same samples; of another one they do not."""
    signal = np.random.default_rng(0).standard_normal(20000).astype(np.float32) / 10
    signals = Signals(np.repeat(signal, 2)[:27562], signal)

    assert (same := analyse_signals(tts.model, signals, signal.copy())[0]).own is same.base
    assert (other := analyse_signals(tts.model, signals, signal / 2)[0]).own is not other.base


def test_weights_of_zero_leave_the_own_emotion(tts: IndexTTS, voice: Voice) -> None:
    own = emotion_vector(tts.model, voice)
    assert np.array_equal(emotion_vector(tts.model, voice, Emotion(weights=[0.0] * 8)), own)


def test_alpha_blends_voice_and_prompt_emotion(tts: IndexTTS, voice: Voice) -> None:
    prompt = tts.emotion(support.TINY / "emotion.wav")
    assert np.array_equal(
        emotion_vector(tts.model, voice, Emotion(prompt=prompt, alpha=0.0)), voice.base
    )
    half = emotion_vector(tts.model, voice, Emotion(prompt=prompt, alpha=0.5))
    np.testing.assert_allclose(half, (voice.base + prompt.vector) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"emotion": Emotion(text="sad")}, "loaded with reads_emotion=True"),
        ({"settings": Settings(max_codes=10**6)}, "max_codes must be 1 to 161"),
        ({"settings": Settings(segment_tokens=10**6)}, "segment length must be 1 to 60"),
        ({"text": " \n"}, "the text is empty"),
    ],
)
def test_invalid_requests_are_reported(
    tts: IndexTTS, voice: Voice, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        speak(tts, voice, **more)


def test_alpha_is_not_clamped_with_an_emotion_prompt(tts: IndexTTS, voice: Voice) -> None:
    prompt = 2 * voice.own
    beyond = emotion_vector(tts.model, voice, Emotion(prompt=EmotionPrompt(prompt), alpha=1.5))
    expected = voice.base + 1.5 * (prompt - voice.base)
    np.testing.assert_allclose(beyond, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "scaled"), [(3.0, 0.7), (1.0, 0.7), (0.1, 0.0699), (-1.0, 0.0), (None, 0.7)]
)
def test_alpha_scales_weights_clamped_and_cut_after_four_decimals(
    tts: IndexTTS, voice: Voice, alpha: float | None, scaled: float
) -> None:
    weights = [0.0] * 7 + [0.7]
    plain = [0.0] * 7 + [scaled]
    ours = emotion_vector(tts.model, voice, Emotion(weights=weights, alpha=alpha))
    assert np.array_equal(ours, emotion_vector(tts.model, voice, Emotion(weights=plain)))


def test_weights_of_one_emotion_replace_the_own_one(tts: IndexTTS, voice: Voice) -> None:
    whole = emotion_vector(tts.model, voice, Emotion(weights=[1.0] + [0.0] * 7))
    rows = prototype_rows(tts.model, voice.style)
    table = tts.model.params["emotion_prototypes"]["emotion"]
    support.assert_close(whole[0], table[int(rows[0, 0])], "emotion_vector.merge")


@pytest.mark.nightly  # compiles everything; each network in halves has a test of its own
@pytest.mark.parametrize("dtype", ["bfloat16"])
def test_half_precision_speaks(tts: IndexTTS, voice: Voice, dtype: str) -> None:
    run = RunConfig(dtype=dtype)
    params = {
        name: cast(name, dict(tree), tts.model.config, run.compute_dtype(name))
        for name, tree in tts.model.params.items()
    }
    half = IndexTTS(dataclasses.replace(tts.model, params=params, run=run))
    samples = speak(half, voice).samples
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert samples.any()


def test_another_guidance_compiles_nothing_and_changes_the_sound(
    tts: IndexTTS, voice: Voice
) -> None:
    plain, other = (
        speak(tts, voice, settings=dataclasses.replace(QUICK, guidance=guidance)).samples
        for guidance in (0.7, 1.3)
    )
    assert plain.shape == other.shape
    assert not np.array_equal(plain, other)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"guidance": -1.0}, {"pause": float("nan")}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Settings(**wrong)
