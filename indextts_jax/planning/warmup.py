"""Compiles everything that a request may need, before the first one.

    anna = tts.voice("anna.wav")
    warm_up(tts, anna)  # then no sentence compiles anything
    warm_up_prompts(tts)  # then no new prompt does

Padded lengths limit the number of programs; these functions go through all of them. It is a dry
run: stages are compiled and return zeros. Only the shapes of parameters are needed, so nothing is
loaded.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from indextts_jax.audio.features import FRAME, HOP
from indextts_jax.config import EMOTIONS
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.acoustic import (
    Line,
    SynthesisRow,
    condition_rows,
    encode_rows,
    synthesize,
)
from indextts_jax.engine.alignment.words import heads_of
from indextts_jax.engine.decoding import search_line
from indextts_jax.engine.delivery import row_count, slot_count
from indextts_jax.engine.pace import Timing, frames_of
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of, segment_limit
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.planning.dry_run import DryRunModel, dry_run_model
from indextts_jax.planning.warmup_chunks import chunk_steps, measure_chunks
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, flow_size
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.sampling.loop import windows
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.utils.stopwatch import Clock, StageCallback
from indextts_jax.voices.analysis import (
    ENCODER_RATE,
    EmotionPrompt,
    Signals,
    Voice,
    analyse_signals,
    prompt_condition,
)

FEATURES = ENCODER_RATE // (2 * HOP)  # semantic features a second


class Step(NamedTuple):
    """A step of a warm-up: its description and its work."""

    what: str
    do: Callable[[], object]


def code_counts(model: Model, voice: Voice, settings: Settings) -> list[int]:
    """One number of codes for each combination of padded lengths of a segment."""
    buckets = model.buckets
    first: dict[tuple[int, ...], int] = {}
    for count in range(1, max_codes_of(model, settings) + 1):
        frames = spoken_frames(model, count, settings)
        sizes = bucket(frames, buckets.frames), flow_size(buckets, voice.frames + frames, frames)
        first.setdefault((bucket(count, buckets.codes), *sizes), count)
    return list(first.values())


def spoken_frames(model: Model, count: int, settings: Settings) -> int:
    """Frames for a number of codes; for a duration, which depends on the text, those at speed 1."""
    timing = Timing(speed=settings.timing.pace)
    return frames_of([count], timing, 0, model.config)[0]


def text_lengths(model: Model, settings: Settings) -> list[int]:
    """One number of text tokens for each padded length of a segment's text."""
    most = segment_limit(model, settings.segment_tokens)
    sizes = {bucket(count, model.buckets.text) for count in range(1, most + 1)}
    return sorted(min(size, most) for size in sizes)


def warm_up(
    tts: IndexTTS,
    voice: Voice,
    settings: Settings | None = None,
    *,
    on_stage: StageCallback | None = None,
) -> None:
    """Compiles what `speak` may need with this voice and these settings, whatever the text.

    Another voice of about the same length, another seed, temperature or emotion needs no further
    compilation. Other beams, flow steps, batch, speed or `max_codes`, guidance 0, typical sampling
    and a requested duration do. Times of words are included if the checkpoint's heads were chosen.
    `on_stage` is called with a description of what is being compiled.
    """
    _go(tts.model, all_steps(dry_run_model(tts.model), voice, settings or Settings()), on_stage)


def measure_streams(tts: IndexTTS, voice: Voice, settings: Settings) -> None:
    """Measures what chunks take, by running each of their programs once; after `warm_up`.

    A first stream is then planned as well as later ones.

    Raises:
        InputError: for settings without chunks.
    """
    if settings.chunks is None:
        raise InputError("settings without chunks have no streams to measure", "chunks")
    with jax.default_device(tts.model.device):
        tokens = text_lengths(tts.model, settings)[-1]
        measure_chunks(tts.model, _line(tts.model, tokens, voice), settings)


def _go(model: Model, steps: Sequence[Step], on_stage: StageCallback | None) -> None:
    with jax.default_device(model.device):
        for step in steps:
            if on_stage is not None:
                on_stage(step.what)
            step.do()


def all_steps(model: DryRunModel, voice: Voice, settings: Settings) -> list[Step]:
    """Steps for speaking: segments one by one, and in batches if the settings say so."""
    steps = speech_steps(model, voice, settings)
    if settings.batch > 1:
        steps += batch_steps(model, voice, settings)
    if settings.chunks is not None:
        lengths = text_lengths(model, settings)
        texts = sorted({bucket(n, model.buckets.text) for n in lengths})
        lines = [(_line(model, min(text, lengths[-1]), voice), text) for text in texts]
        sizes = sorted({slot_count(n, settings.batch) for n in range(1, settings.batch + 1)})
        steps += [Step(*step) for step in chunk_steps(model, lines, settings, sizes)]
    return steps


def speech_steps(
    model: DryRunModel, voice: Voice, settings: Settings, *, largest: bool = False
) -> list[Step]:
    """Steps for speaking with this voice and these settings; with `largest` only the largest."""
    lengths = text_lengths(model, settings)[-1 if largest else 0 :]
    zeros = EmotionPrompt(voice.own)
    weights = (0.0,) * len(EMOTIONS)
    sampling = settings.sampling_up_to(max_codes_of(model, settings))

    def emotions() -> None:
        emotion_vector(model, voice, Emotion(prompt=zeros))
        emotion_vector(model, voice, Emotion(weights=weights))
        emotion_vector(model, voice, Emotion(weights=weights, random=True))

    def codes(tokens: int) -> None:
        search_line(model, _line(model, tokens, voice), sampling, segment_keys(0, 0)[0])

    return [
        Step("emotions", emotions),
        *(Step(f"codes of {n} text tokens", functools.partial(codes, n)) for n in lengths),
        *sound_steps(model, voice, settings, [1], largest=largest),
    ]


def live_steps(model: DryRunModel, voice: Voice, settings: Settings, *, rows: int) -> list[Step]:
    """Steps for a live engine, which speaks `rows` segments at once at most."""
    sampling = settings.sampling_up_to(max_codes_of(model, settings))
    most = segment_limit(model, settings.segment_tokens)
    sizes = settings.batch, bucket(most, model.buckets.text)
    caches = list(windows(sampling.max_codes))

    def decoding(window: int) -> None:
        line = _line(model, most, voice)
        _decoding(model, line, sampling, *sizes, window, bound=jnp.asarray(1, jnp.int32))

    together = sorted({row_count(waiting, rows) for waiting in range(1, rows + 1)})
    chunks: list[Step] = []
    if settings.chunks is not None:
        lines = [(_line(model, most, voice), sizes[1])]
        chunks += [Step(*step) for step in chunk_steps(model, lines, settings, [settings.batch])]
    return [
        *chunks,
        *(
            Step(f"codes of {settings.batch} streams, up to {n}", functools.partial(decoding, n))
            for n in caches
        ),
        *sound_steps(model, voice, settings, together, largest=False),
    ]


def warm_up_live(
    tts: IndexTTS,
    voices: Sequence[Voice],
    settings: Settings,
    *,
    rows: int,
    on_stage: StageCallback | None = None,
) -> None:
    """Compiles what a live engine needs for voices of these lengths, whatever the texts."""
    model = dry_run_model(tts.model)
    for voice in {one.mel.shape[1]: one for one in voices}.values():
        _go(tts.model, live_steps(model, voice, settings, rows=rows), on_stage)


def _line(model: Model, tokens: int, voice: Voice) -> Line:
    """A segment with this number of text tokens."""
    language = version_of(model.config).LANGUAGE
    return Line([0] * tokens, voice, emotion_vector(model, voice), language)


def sound_steps(
    model: DryRunModel, voice: Voice, settings: Settings, rows: Sequence[int], *, largest: bool
) -> list[Step]:
    """Steps for synthesizing these numbers of rows at once; with `largest` only the largest."""
    counts, lengths = code_counts(model, voice, settings), text_lengths(model, settings)
    heads = heads_of(model)
    if largest:
        counts, lengths = [max_codes_of(model, settings)], lengths[-1:]

    def sound(count: int, number: int) -> None:
        frames, key = spoken_frames(model, count, settings), segment_keys(0, 0)[1]
        for tokens in lengths:
            row = SynthesisRow(_line(model, tokens, voice), np.zeros(count, np.int32), frames, key)
            synthesize(model, [row] * number, settings, Clock())
            if heads:  # for speech with the times of its words
                encode_rows(model, [row] * number, heads)

    return [
        Step(
            f"the sound of {f'{number} segments of ' * (number > 1)}{count} codes",
            functools.partial(sound, count, number),
        )
        for number in rows
        for count in counts
    ]


def prompt_signals(model: Model) -> Iterator[tuple[Signals, np.ndarray]]:
    """Silent speaker prompts, one for each combination of padded lengths."""
    cfg, buckets = model.config.mel, model.buckets
    longest = model.config.limits.prompt_seconds
    seen = set()
    for frames in range(2, 1 + (int(longest * ENCODER_RATE) - FRAME) // HOP + 1):
        narrow = FRAME + (frames - 1) * HOP
        # Resampling rounds, and a prompt may end anywhere within a hop.
        least = int((narrow - 1) * cfg.sample_rate / ENCODER_RATE)
        most = int((narrow + HOP) * cfg.sample_rate / ENCODER_RATE) + 1
        most = min(most, int(longest * cfg.sample_rate))
        for mel in range(least // cfg.hop, most // cfg.hop + 1):
            if mel * cfg.hop <= (cfg.n_fft - cfg.hop) // 2:
                continue  # too short to be analysed
            padded = (
                bucket(-(-frames // 2), buckets.features),
                bucket(frames, buckets.frames),
                bucket(mel, buckets.frames),
            )
            if padded not in seen:
                seen.add(padded)
                silence = np.zeros(narrow, np.float32)
                yield Signals(np.zeros(mel * cfg.hop, np.float32), silence), silence


def prompt_steps(model: DryRunModel) -> list[Step]:
    """Steps for analysing a prompt."""

    def analyse(signals: Signals, emotion: np.ndarray) -> None:
        analyse_signals(model, signals, emotion)

    return [
        Step(
            f"prompts of {len(emotion) / ENCODER_RATE:.1f} s",
            functools.partial(analyse, signals, emotion),
        )
        for signals, emotion in prompt_signals(model)
    ]


def warm_up_prompts(tts: IndexTTS, *, on_stage: StageCallback | None = None) -> None:
    """Compiles what `voice` and `emotion` may need, for prompts of any length."""
    _go(tts.model, prompt_steps(dry_run_model(tts.model)), on_stage)


def word_steps(model: DryRunModel) -> list[Step]:
    """Steps for reading emotion from text; empty for a model that cannot."""
    config = model.config.text_emotion
    if config is None:
        return []
    most = config.positions - config.reply_tokens

    def read(size: int) -> None:
        length = jnp.asarray(1, jnp.int32)
        stages.emotion_reply(model, jnp.zeros(size, jnp.int32), length)

    sizes = sorted({min(size, most) for size in config.buckets})
    return [
        Step(f"emotion from text of {size} tokens", functools.partial(read, size)) for size in sizes
    ]


def blank_voices(model: DryRunModel) -> list[Voice]:
    """A voice of zeros for each padded length of a speaker prompt."""
    cfg = model.config
    most = int(cfg.limits.prompt_seconds * cfg.mel.sample_rate) // cfg.mel.hop
    sizes = sorted({bucket(frames, model.buckets.frames) for frames in range(1, most + 1)})
    return [blank_voice(model, min(size, most)) for size in sizes]


def blank_voice(model: DryRunModel, frames: int) -> Voice:
    """A voice of zeros whose prompt has this many mel frames."""
    cfg, size = model.config, bucket(frames, model.buckets.frames)
    codes = max(1, frames * cfg.mel.hop * FEATURES // cfg.mel.sample_rate)

    def zeros(*shape: int) -> jax.Array:
        return jax.device_put(np.zeros((1, *shape), np.float32), model.device)

    quantized = zeros(bucket(codes, model.buckets.features), cfg.semantic_codec.width)
    return Voice(
        latents=zeros(cfg.gpt.conditioning_latents, cfg.gpt.width),
        base=zeros(cfg.gpt.width),
        own=zeros(cfg.gpt.width),
        style=zeros(cfg.dit.style),
        mel=zeros(size, cfg.mel.mels),
        condition=prompt_condition(model, quantized, jnp.asarray([codes], jnp.int32), frames),
        frames=frames,
        quantized=quantized,
        codes=codes,
    )


def _decoding(
    model: DryRunModel,
    line: Line,
    sampling: SamplingConfig,
    size: int,
    text: int,
    window: int,
    *,
    caches: Sequence[int] | None = None,
    bound: Int[Array, ""] | None = None,
) -> None:
    """Slots of a size with a capacity of `window`: filled, run (as `run_slots`), and resized."""
    key, strategy = segment_keys(0, 0)[0], sampling.strategy
    caches = list(windows(sampling.max_codes)) if caches is None else caches
    state = stages.empty_slots(
        model,
        sampling.numbers,
        slots=size,
        text_size=text,
        window=caches[0],
        strategy=strategy,
    )
    if window != caches[0]:
        cache = stages.resize_slots(model, state.cache, window=window)
        state = state._replace(cache=cache)
    for count in {1, size}:
        numbers = [sampling.numbers] * count
        conditions = condition_rows(model, [line] * count, text_size=text)
        state = stages.fill_slots(
            model,
            state,
            jnp.zeros(count, jnp.int32),
            *conditions.common,
            jnp.stack([key] * count),
            jax.tree.map(lambda *one: jnp.stack(one), *numbers),
            conditions.languages,
            strategy=strategy,
        )
    state, _ = stages.run_slots(model, state, bound, strategy=strategy)
    for other in caches:
        if other != window:
            stages.resize_slots(model, state.cache, window=other)


def batch_steps(
    model: DryRunModel, voice: Voice, settings: Settings, *, largest: bool = False
) -> list[Step]:
    """Steps for speaking several segments at once, with voices of this length."""
    batch = settings.batch
    sizes = sorted({slot_count(waiting, batch) for waiting in range(1, batch + 1)})
    rows = sorted({row_count(waiting, batch) for waiting in range(1, batch + 1)})
    texts = sorted({bucket(n, model.buckets.text) for n in text_lengths(model, settings)})
    sampling = settings.sampling_up_to(max_codes_of(model, settings))
    caches = list(windows(sampling.max_codes))
    if largest:
        sizes, rows, texts = sizes[-1:], rows[-1:], texts[-1:]
        caches = [caches[0], caches[-1]][-len(caches) :]
    most = segment_limit(model, settings.segment_tokens)

    def decoding(size: int, text: int) -> None:
        line = _line(model, min(text, most), voice)
        for window in caches:
            _decoding(model, line, sampling, size, text, window, caches=caches)

    return [
        *(
            Step(
                f"codes of {size} segments with {text} text tokens",
                functools.partial(decoding, size, text),
            )
            for size in sizes
            for text in texts
        ),
        *sound_steps(model, voice, settings, rows, largest=largest),
    ]
