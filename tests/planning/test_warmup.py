"""Nothing compiles after the warm-up, nothing piles up, and threads change nothing."""

import collections
import contextlib
import dataclasses
import gc
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import golden_copies
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from models_under_test import model

from indextts_jax import warmup
from indextts_jax.audio.features import log_mel, semantic_features
from indextts_jax.audio.io import resample
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner
from indextts_jax.config import PROMPT_SECONDS, BucketConfig, ModelConfig, RunConfig, bundled_config
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.demo import random_params
from indextts_jax.engine.live import chunked
from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.engine.live.jobs import Job, LiveRequest
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming import stream
from indextts_jax.engine.streaming.chunks import Chunks
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.models.components import structure
from indextts_jax.models.length_regulator import target_length
from indextts_jax.planning.dry_run import DryRunModel, dry_run_model
from indextts_jax.planning.warmup import (
    code_counts,
    prompt_signals,
    text_lengths,
    warm_up,
    warm_up_live,
    warm_up_prompts,
    word_steps,
)
from indextts_jax.runtime import cache_folder, devices, executable_pack, executables
from indextts_jax.runtime import model as model_module
from indextts_jax.runtime.buckets import bucket
from indextts_jax.runtime.model import Model, compiled, config_key
from indextts_jax.runtime.stages import embed_codes
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.sampling.reply import Reply, reply
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import ENCODER_RATE, EmotionPrompt, Voice

pytestmark = pytest.mark.usefixtures("nothing_kept")  # what compiles is counted

# Small sizes and few layers, so that much is spoken in little time.
BUCKETS = BucketConfig(text=(8, 40), features=(64,), codes=(12,), frames=(24, 80))
SETTINGS = Settings(sampling=SamplingConfig(beams=1), steps=1, max_codes=12, segment_tokens=30)
SPEAKING = ("emotion_prototypes", "gpt", "semantic_codec", "length_regulator", "dit", "vocoder")
STORY = "the cat sat on a mat while seven dogs ran by and no bird sang"
WORDS = STORY.split()


def made_up_voice(tts: IndexTTS, seed: int) -> Voice:
    """A voice of random numbers: for what is tested here the analysis of a clip is too long."""
    rng, cfg = np.random.default_rng(seed), tts.model.config

    def some(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=(1, *shape)), jnp.float32)

    width = cfg.gpt.width
    return Voice(
        latents=some(cfg.gpt.conditioning_latents, width),
        base=some(width),
        own=some(width),
        style=some(cfg.dit.style),
        mel=some(64, cfg.mel.mels),
        condition=some(64, cfg.length_regulator.width),
        frames=50,
        quantized=some(64, cfg.semantic_codec.width),
        codes=30,
    )


def sentences(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Requests of varied text, seed, emotion and numbers; some are spoken in two segments."""
    generator = random.Random(seed)

    def one(voice_seed: int) -> dict[str, Any]:
        emotion: dict[str, Any] = generator.choice(
            [{}, {"weights": [generator.random() / 8] * 8}, {"prompt": voice_seed}]
        )
        if "weights" in emotion and generator.random() < 0.5:
            emotion["random"] = True
        if emotion:
            emotion["alpha"] = generator.random()
        sampling = dataclasses.replace(SETTINGS.sampling, temperature=generator.uniform(0.5, 1.5))
        return {
            "text": " ".join(generator.choices(WORDS, k=generator.choice([1, 2, 5, 9, 16]))) + ".",
            "seed": generator.randrange(2**32),
            "settings": dataclasses.replace(
                SETTINGS, sampling=sampling, guidance=generator.uniform(0.1, 1)
            ),
            "emotion": emotion,
        }

    return [one(number) for number in range(count)]


def speak(tts: IndexTTS, voice: Voice, request: dict[str, Any]) -> np.ndarray:
    request = dict(request)
    emotion = dict(request["emotion"])
    if "prompt" in emotion:
        emotion["prompt"] = EmotionPrompt(voice.own)
    request["emotion"] = Emotion(**emotion)
    return tts.speak(request.pop("text"), voice, **request).samples


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    names: list[str] = []

    def listen(event: str, seconds: float, **rest: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(str(rest.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def sizes() -> Model:
    """The tiny set's model without its arrays."""
    return Model(support.tiny_config(), {}, Tokenizer(support.CHECKPOINTS / "bpe.model"))


def small() -> ModelConfig:
    """The tiny set's sizes with fewer layers, and the buckets above."""
    config = support.tiny_config()
    replace = dataclasses.replace
    return replace(
        config,
        gpt=replace(config.gpt, layers=1),
        dit=replace(config.dit, layers=1, wavenet=replace(config.dit.wavenet, layers=1)),
        vocoder=replace(
            config.vocoder,
            rates=(16, 16),
            kernels=(32, 32),
            block_kernels=(3,),
            block_dilations=((1,),),
        ),
    )


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    config = small()
    params = {name: random_params(structure(name, config).expected, 0) for name in SPEAKING}
    bias = params["gpt"]["code_head"]["bias"]
    # Never a segment without a code: the stop code is unlikely.
    params["gpt"]["code_head"]["bias"] = bias.at[config.gpt.stop_code].add(-2.0)
    return IndexTTS(
        Model(
            config,
            params,
            Tokenizer(support.CHECKPOINTS / "bpe.model"),
            run=RunConfig(buckets=BUCKETS),
        )
    )


@pytest.fixture(scope="module")
def voices(tts: IndexTTS) -> list[Voice]:
    return [made_up_voice(tts, seed) for seed in range(4)]


@pytest.fixture(scope="module")
def warm(tts: IndexTTS, voices: list[Voice]) -> IndexTTS:
    with compilations() as names:
        warm_up(tts, voices[0], SETTINGS)
    assert names  # the count does see what compiles
    return tts


@pytest.mark.nightly
@pytest.mark.parametrize("seams", ["exact", "fast"])
def test_warm_streams_do_not_compile(tts: IndexTTS, voices: list[Voice], seams: str) -> None:
    """However long their chunks are, and wherever they end."""
    settings = dataclasses.replace(
        SETTINGS, max_codes=140, chunks=Chunks(first=25, seams=seams), segment_tokens=40
    )
    warm_up(tts, voices[0], settings)
    sizes = iter(random.Random(0).choices((25, 50, 75, 100), k=10_000))
    drawn = mock.patch.object(stream, "next_size", side_effect=lambda *_: next(sizes))
    with compilations() as names, drawn:
        for seed in range(30):
            text = " ".join(WORDS[: 1 + seed % 12]) + "."
            for sound in tts.stream(text, voices[0], settings=settings, seed=seed):
                assert np.isfinite(sound.samples).all()
    assert names == []


@pytest.mark.nightly
@pytest.mark.parametrize("rows", [1, 2])
def test_warm_engine_does_not_compile(tts: IndexTTS, voices: list[Voice], rows: int) -> None:
    """Whatever the lengths of streams and chunks, who is cancelled, and who asks for words."""
    settings = dataclasses.replace(
        SETTINGS, max_codes=100, batch=3, chunks=Chunks(first=25, seams="fast"), segment_tokens=40
    )
    warm_up_live(tts, voices[:1], settings, rows=rows)
    generator, ends = random.Random(0), collections.Counter[str]()
    engine = LiveEngine(tts.model, settings, rows=rows)

    def submit(seed: int, text: str, streamed: bool = True, timings: bool = False) -> Job:
        request = Request(text=text, voice=voices[0], seed=seed, settings=settings)
        script = tts.prepared(request, timings=timings)(Clock())
        return engine.submit(
            LiveRequest(
                script=script,
                settings=settings,
                sink=lambda event: ends.update([type(event).__name__]),
                streamed=streamed,
            )
        )

    def work(most: int) -> None:
        while most and engine.tick():
            most -= 1

    # As on the engine's thread: programs are compiled for a default device.
    with jax.default_device(tts.model.device):
        submit(0, "Ready.")  # as the server does: what is compiled between stages
        work(-1)
        drawn = mock.patch.object(
            chunked, "next_size", side_effect=lambda *_: generator.choice((25, 50, 75))
        )
        with compilations() as names, drawn:
            jobs = []
            for seed in range(40):
                text = " ".join(WORDS[: 1 + seed % 12]) + "."
                jobs.append(submit(seed, text, seed % 5 > 0, seed % 2 > 0))
                work(generator.randrange(20))
                if seed % 7 == 0:
                    engine.cancel(generator.choice(jobs))
            work(-1)
    assert names == []
    assert engine.idle
    assert engine.load().slots == 0
    assert ends["Finished"] + ends["Broken"] + engine.counts.cancelled == 41
    assert ends["Finished"] > 20


def test_warm_sentences_do_not_compile_or_leak(warm: IndexTTS, voices: list[Voice]) -> None:
    requests = sentences(50)
    gc.collect()
    before = len(jax.live_arrays())
    with compilations() as names:
        first = speak(warm, voices[0], requests[0])
        for number, request in enumerate(requests[1:]):
            speak(warm, voices[number % 4], request)
        last = speak(warm, voices[0], requests[0])
    gc.collect()
    assert names == []
    assert np.array_equal(first, last)
    assert len(jax.live_arrays()) == before


@pytest.mark.nightly
def test_warm_batches_do_not_compile(tts: IndexTTS, voices: list[Voice]) -> None:
    three = dataclasses.replace(SETTINGS, batch=3)
    warm_up(tts, voices[0], three)
    generator = random.Random(2)

    def one() -> Request:
        text = " ".join(generator.choices(WORDS, k=generator.choice([1, 2, 5, 9, 16]))) + "."
        weights = generator.choice([None, [generator.random() / 8] * 8])
        return Request(
            text=text,
            voice=generator.choice(voices),
            seed=generator.randrange(2**32),
            emotion=Emotion(weights=weights),
        )

    with compilations() as names:
        for count in [1, 2, 3, 4, 5, 6, 7, 8, 9, 5]:
            tts.speak_many([one() for _ in range(count)], settings=three)
    assert names == []


def test_the_warm_up_meets_all_paddings_of_words(tmp_path: Path) -> None:
    """Of a model that reads emotion from words; one that does not needs nothing."""
    without = IndexTTS(sizes()).model
    assert word_steps(dry_run_model(without)) == []
    words = bundled_config("tiny").text_emotion
    assert words is not None
    config = dataclasses.replace(support.tiny_config(), text_emotion=words)
    met: list[int] = []

    class Listening(DryRunModel):
        def run_stage(self, component: str, function: Any, prompt: Any, length: Any) -> Reply:
            assert (component, function, length.shape) == ("text_emotion", reply, ())
            met.append(len(prompt))
            return Reply(prompt, length, jnp.asarray(True))

    for step in word_steps(Listening(config, {}, without.tokenizer)):
        step.do()
    most = words.positions - words.reply_tokens
    assert set(met) == {min(bucket(count, words.buckets), most) for count in range(1, most + 1)}


@pytest.mark.parametrize("fused", [False, True])
def test_a_pack_is_of_the_programs_that_were_asked_for(
    fused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with fused attention are kept under a configuration of their own."""
    keys: list[str | None] = []

    def pack(kept: Any, device: Any, path: Path, config: str | None) -> Any:
        keys.append(config)
        return SimpleNamespace(path=path, programs=0, bytes=0, sha256="")

    monkeypatch.setattr(devices, "lacks_kernels", lambda device: None)
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr(executables, "active", lambda: "the programs")
    monkeypatch.setattr(warmup, "_compile", lambda flags, kept: None)
    monkeypatch.setattr(executable_pack, "pack", pack)
    checkpoint = golden_copies.shared()
    code = runner.execute(
        warmup.main,
        warmup.define,
        name="warmup",
        summary="",
        common=warmup.COMMON,
        argv=[
            f"--checkpoint={checkpoint}",
            f"--pack={tmp_path}/a.zip",
            f"--fused_attention={fused}",
        ],
    )
    config = open_checkpoint(checkpoint).config
    assert code == 0
    assert keys == [config_key(config, RunConfig(fused_attention=fused))]


def test_concurrent_voices_match_sequential_results(warm: IndexTTS, voices: list[Voice]) -> None:
    def all_of(voice: Voice) -> list[np.ndarray]:
        return [speak(warm, voice, request) for request in sentences(5, seed=1)]

    sequence = [all_of(voice) for voice in voices]
    with compilations() as names, ThreadPoolExecutor(4) as pool:
        together = list(pool.map(all_of, voices))
    assert names == []
    for alone, threaded in zip(sequence, together, strict=True):
        assert all(map(np.array_equal, alone, threaded))
    assert not np.array_equal(sequence[0][0], sequence[1][0])


def test_threads_that_ask_at_once_get_one_function(
    tts: IndexTTS, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = model_module.structure

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(0.05)
        return build(*args, **options)

    monkeypatch.setattr(model_module, "structure", slow)
    together = threading.Barrier(4)

    def ask(_: int) -> Any:
        together.wait()
        return compiled(tts.model.config, "vocoder", "__call__", nothing_else_asks="for this")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(map(id, pool.map(ask, range(4))))) == 1


def test_device_of_the_model_overrides_the_default_of_the_thread(
    warm: IndexTTS, voices: list[Voice]
) -> None:
    seen: list[Any] = []
    request = sentences(1)[0]
    request["on_stage"] = lambda _: seen.append(jax.config.jax_default_device)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(speak, warm, voices[0], request).result()
    assert set(seen) == {warm.model.device}
    assert jax.config.jax_default_device is None


def test_a_rehearsed_stage_gives_zeros_of_the_shapes_of_the_real_one(tts: IndexTTS) -> None:
    rehearsal = DryRunModel(tts.model.config, tts.model.params, tts.model.tokenizer)
    codes = np.arange(12, dtype=np.int32)[None]
    zeros, real = (embed_codes(m, codes) for m in (rehearsal, tts.model))
    assert (zeros.shape, zeros.dtype, zeros.committed) == (real.shape, real.dtype, real.committed)
    assert not np.asarray(zeros).any()
    assert np.asarray(real).any()


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_a_seed_without_a_key_of_its_own_is_refused(
    tts: IndexTTS, voices: list[Voice], seed: int
) -> None:
    with pytest.raises(InputError, match="the seed must be 0 to 4294967295"):
        tts.speak("cat.", voices[0], seed=seed, settings=SETTINGS)


@pytest.mark.parametrize("frames", [1, 17, 64])
def test_the_warm_up_meets_all_paddings_of_codes_and_text(voices: list[Voice], frames: int) -> None:
    whole = sizes()
    voice = dataclasses.replace(voices[0], frames=frames)
    ladders = whole.buckets

    def padded(count: int) -> Sequence[int]:
        target = target_length(count, 1.72)
        return (
            bucket(count, ladders.codes),
            bucket(target, ladders.frames),
            bucket(target + frames, ladders.frames),
        )

    counts = code_counts(whole, voice, Settings(max_codes=150))
    assert {padded(count) for count in counts} == {padded(count) for count in range(1, 151)}
    assert len(counts) == len({padded(count) for count in counts})
    assert text_lengths(whole, Settings(segment_tokens=40)) == [32, 40]


def test_the_warm_up_meets_all_paddings_of_prompts() -> None:
    whole = sizes()
    ladders, cfg = whole.buckets, whole.config.mel
    met = {
        (
            bucket(len(semantic_features(signals.narrow)[0]), ladders.features),
            bucket(len(signals.wide) // cfg.hop, ladders.frames),
        )
        for signals, _ in prompt_signals(whole)
    }
    generator = random.Random(0)
    # Around the rungs, where rounding matters, and anywhere.
    edges = [rung * 2 * 160 / ENCODER_RATE for rung in ladders.features]
    edges += [rung * cfg.hop / cfg.sample_rate for rung in ladders.frames]
    near = [edge + generator.uniform(-0.02, 0.02) for edge in edges]
    for seconds in [0.5, PROMPT_SECONDS, *near, *(generator.uniform(0.5, 15) for _ in range(2))]:
        if not 0.5 <= seconds <= PROMPT_SECONDS:
            continue
        wide = np.zeros(int(seconds * cfg.sample_rate), np.float32)
        narrow = resample(wide, cfg.sample_rate, ENCODER_RATE)
        features = bucket(len(semantic_features(narrow)[0]), ladders.features)
        assert (features, bucket(len(log_mel(wide, cfg)), ladders.frames)) in met, seconds


@pytest.mark.nightly
def test_prompts_of_any_length_compile_nothing_after_their_warm_up(tmp_path: Any) -> None:
    import soundfile

    whole = IndexTTS(model("tiny"))
    warm_up_prompts(whole)
    speech, rate = soundfile.read(support.TINY / "speaker.wav", dtype="float32")
    generator = random.Random(0)
    with compilations() as names:
        for number in range(30):
            size = int(generator.uniform(0.5, 16) * rate)
            soundfile.write(tmp_path / f"{number}.wav", np.resize(speech, size), rate)
            whole.voice(tmp_path / f"{number}.wav")
            whole.emotion(tmp_path / f"{number}.wav")
    assert names == []
