"""Compiles everything that a request may need, before the first one comes.

    anna = tts.voice("anna.wav")
    warm_up(tts, anna)  # then no sentence compiles anything
    warm_up_prompts(tts)  # then no new prompt does

Padded lengths make the programs few: these functions walk through all of them. Nothing is spoken:
the stages are compiled, and give zeros. Only shapes of parameters are needed, so nothing is loaded.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax import programs
from indextts_jax.audio.features import FRAME, HOP
from indextts_jax.buckets import bucket, flow_size
from indextts_jax.clock import Clock, Watch
from indextts_jax.model import Loaded, Model, Params, program_name
from indextts_jax.pipeline import IndexTTS, emotion_vector
from indextts_jax.prompts import (
    ENCODER_RATE,
    MAX_SECONDS,
    Signals,
    Voice,
    analyse_signals,
    regulate,
)
from indextts_jax.sampling.reply import reply
from indextts_jax.settings import Settings, code_limit, segment_limit
from indextts_jax.stages import Codes, codes_to_wave, segment_keys, speech_codes
from indextts_jax.timing import Timing, frames_of

CODE_RATE = 50  # codes a second


class Rehearsal(Model):
    """A model whose stages are compiled instead of run, and give zeros of the right shapes."""

    def run(self, component: str, function: Any, *arrays: Any, **static: Any) -> Any:
        """Zeros in the place of the result of a stage, which is compiled."""
        arguments = (self.params[component], *arrays)
        leaves, tree = jax.tree.flatten(arguments)
        place = (component, function, tuple(sorted(static.items())), tree, *map(_shape, leaves))
        if place not in self._results:
            self._results[place] = self._compile(component, function, arguments, static)
        shapes, need = self._results[place]
        called = f"{component} {function if isinstance(function, str) else function.__name__}"
        given = sum(map(_bytes, jax.tree.leaves(arrays)))
        self.needs[called] = max(self.needs.get(called, 0), need + given)
        committed = any(leaf.committed for leaf in leaves if isinstance(leaf, jax.Array))
        committed |= any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
        device = self.device if committed else None

        def zeros(like: Any) -> jax.Array:
            if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
                keys = jax.random.split(jax.random.key(0), like.shape)
                return jax.device_put(keys, device)
            return jax.device_put(np.zeros(like.shape, like.dtype), device)

        return jax.tree.map(zeros, shapes)

    @functools.cached_property
    def needs(self) -> dict[str, int]:
        """Bytes that the largest program of each stage needs besides the parameters."""
        return {}

    @functools.cached_property
    def _results(self) -> dict[Any, Any]:
        return {}

    def _compile(
        self, component: str, function: Any, arguments: tuple[Any, ...], static: dict[str, Any]
    ) -> tuple[Any, int]:
        """The shapes of what comes out of a stage, which is ready from now on; its bytes."""
        stage = self.stage(component, function, **static)
        name = program_name(self.config, component, function, static)
        if (kept := programs.active()) is not None and name is not None:
            program = kept.get(name, stage, arguments, self.device)
            return program.call.out_info, _needed(program.record.memory)
        lowered = stage.lower(*arguments)
        made = lowered.compile()  # kept by JAX, for the call with arrays of these shapes
        return lowered.out_info, _needed(programs.memory_of(made))


def _needed(memory: programs.Memory | None) -> int:
    return memory.results + memory.scratch if memory is not None else 0


def _bytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * leaf.dtype.itemsize


def _shape(leaf: Any) -> tuple[Any, ...]:
    return leaf.shape, leaf.dtype


class _Shapes(Mapping[str, Params]):
    """Parameters as far as they are in memory, and the shapes of the others."""

    def __init__(self, loaded: Loaded):
        self._loaded = loaded

    def __getitem__(self, name: str) -> Params:
        return self._loaded.held_or_shapes(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)

    @property
    def device(self) -> jax.Device:
        """Where they are, or would be."""
        return self._loaded.device


def rehearsal(model: Model) -> Rehearsal:
    """The model for a rehearsal; what is not in memory is not loaded for it."""
    params = model.params
    shapes = _Shapes(params) if isinstance(params, Loaded) else params
    return Rehearsal(model.config, shapes, model.tokenizer, model.provenance)


class Step(NamedTuple):
    """A part of a warm-up."""

    what: str
    do: Callable[[], object]


def code_counts(model: Model, voice: Voice, settings: Settings) -> list[int]:
    """A number of codes for each way in which a segment's lengths may be padded."""
    buckets = model.config.buckets
    first: dict[tuple[int, ...], int] = {}
    for count in range(1, code_limit(model, settings) + 1):
        frames = spoken_frames(model, count, settings)
        sizes = bucket(frames, buckets.frames), flow_size(buckets, voice.frames + frames, frames)
        first.setdefault((bucket(count, buckets.codes), *sizes), count)
    return list(first.values())


def spoken_frames(model: Model, count: int, settings: Settings) -> int:
    """Frames of so many codes; for a duration, which depends on the text, those of speed 1."""
    timing, mel = Timing(speed=settings.timing.speed), model.config.mel
    return frames_of([count], timing, 0, mel.sample_rate, mel.hop)[0]


def text_lengths(model: Model, settings: Settings) -> list[int]:
    """A number of text tokens for each way in which a segment's text may be padded."""
    most = segment_limit(model, settings.segment_tokens)
    rungs = {bucket(count, model.config.buckets.text) for count in range(1, most + 1)}
    return sorted(min(rung, most) for rung in rungs)


def warm_up(
    tts: IndexTTS,
    voice: Voice,
    settings: Settings | None = None,
    *,
    watch: Watch | None = None,
) -> None:
    """Compiles what `speak` may need with this voice and these settings, whatever the text.

    Another voice of about the same length, another seed, temperature or emotion needs nothing
    else; other beams, flow steps, batch, speed or `max_codes` do, and so do guidance 0, typical
    sampling, and a duration that is asked for. `watch` is told what is being compiled.
    """
    _go(tts.model, all_steps(rehearsal(tts.model), voice, settings or Settings()), watch)


def _go(model: Model, steps: Sequence[Step], watch: Watch | None) -> None:
    with jax.default_device(model.device):
        for step in steps:
            if watch is not None:
                watch(step.what)
            step.do()


def all_steps(model: Rehearsal, voice: Voice, settings: Settings) -> list[Step]:
    """What speaking may need: segments one by one, and several at once where settings say so."""
    steps = speech_steps(model, voice, settings)
    if settings.batch > 1:
        from indextts_jax.rehearsal_batch import batch_steps  # only where it is asked for

        steps += batch_steps(model, voice, settings)
    return steps


def speech_steps(
    model: Rehearsal, voice: Voice, settings: Settings, *, largest: bool = False
) -> list[Step]:
    """What speaking may need with this voice and these settings, or only what is largest of it."""
    counts, lengths = code_counts(model, voice, settings), text_lengths(model, settings)
    if largest:
        counts, lengths = [code_limit(model, settings)], lengths[-1:]
    nothing = [0.0] * len(model.config.emotion_prototypes.groups)

    def vector() -> jax.Array:
        return emotion_vector(model, voice, None, None, None)

    def emotions() -> None:
        emotion_vector(model, voice, voice.own, None, None)
        emotion_vector(model, voice, None, None, nothing)
        emotion_vector(model, voice, None, None, nothing, [0] * len(nothing))

    def codes(tokens: int) -> None:
        key = segment_keys(0, 0)[0]
        speech_codes(model, [0] * tokens, voice, vector(), settings, key)

    def sound(count: int) -> None:
        ids, frames = (
            Codes.padded(model, np.zeros(count, np.int32)),
            spoken_frames(model, count, settings),
        )
        key = segment_keys(0, 0)[1]
        for tokens in lengths:
            line = ([0] * tokens, voice, vector())
            codes_to_wave(model, *line, ids, frames, settings, key, Clock())

    return [
        Step("emotions", emotions),
        *(Step(f"codes of {n} text tokens", functools.partial(codes, n)) for n in lengths),
        *(Step(f"the sound of {n} codes", functools.partial(sound, n)) for n in counts),
    ]


def prompt_signals(model: Model) -> Iterator[tuple[Signals, np.ndarray]]:
    """Silent signals of a speaker prompt, one for each way in which its lengths may be padded."""
    cfg, buckets = model.config.mel, model.config.buckets
    seen = set()
    for frames in range(2, 1 + (int(MAX_SECONDS * ENCODER_RATE) - FRAME) // HOP + 1):
        narrow = FRAME + (frames - 1) * HOP
        # Resampling rounds, and a prompt may end anywhere within a hop.
        least = int((narrow - 1) * cfg.sample_rate / ENCODER_RATE)
        most = int((narrow + HOP) * cfg.sample_rate / ENCODER_RATE) + 1
        most = min(most, int(MAX_SECONDS * cfg.sample_rate))
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


def prompt_steps(model: Rehearsal) -> list[Step]:
    """What analysing a prompt may need."""

    def analyse(signals: Signals, emotion: np.ndarray) -> None:
        analyse_signals(model, signals, emotion)

    return [
        Step(
            f"prompts of {len(emotion) / ENCODER_RATE:.1f} s",
            functools.partial(analyse, signals, emotion),
        )
        for signals, emotion in prompt_signals(model)
    ]


def warm_up_prompts(tts: IndexTTS, *, watch: Watch | None = None) -> None:
    """Compiles what `voice` and `emotion` may need, whatever the length of the prompt."""
    _go(tts.model, prompt_steps(rehearsal(tts.model)), watch)


def word_steps(model: Rehearsal) -> list[Step]:
    """What reading emotion from words may need; nothing for a model that cannot."""
    config = model.config.text_emotion
    if config is None:
        return []
    most = config.positions - config.reply_tokens

    def read(size: int) -> None:
        length = jnp.asarray(1, jnp.int32)
        model.run("text_emotion", reply, jnp.zeros(size, jnp.int32), length)

    sizes = sorted({min(rung, most) for rung in config.buckets})
    return [
        Step(f"emotion from words of {size} tokens", functools.partial(read, size))
        for size in sizes
    ]


def blank_voices(model: Rehearsal) -> list[Voice]:
    """A voice of zeros for each padded length of a speaker prompt."""
    cfg = model.config
    most = int(MAX_SECONDS * cfg.mel.sample_rate) // cfg.mel.hop
    rungs = sorted({bucket(frames, cfg.buckets.frames) for frames in range(1, most + 1)})
    return [blank_voice(model, min(rung, most)) for rung in rungs]


def blank_voice(model: Rehearsal, frames: int) -> Voice:
    """A voice of zeros whose prompt has so many mel frames."""
    cfg, size = model.config, bucket(frames, model.config.buckets.frames)
    codes = max(1, frames * cfg.mel.hop * CODE_RATE // cfg.mel.sample_rate)

    def zeros(*shape: int) -> jax.Array:
        return jax.device_put(np.zeros((1, *shape), np.float32), model.device)

    quantized = zeros(bucket(codes, cfg.buckets.features), cfg.semantic_codec.width)
    return Voice(
        latents=zeros(cfg.gpt.conditioning_latents, cfg.gpt.width),
        base=zeros(cfg.gpt.width),
        own=zeros(cfg.gpt.width),
        style=zeros(cfg.dit.style),
        mel=zeros(size, cfg.mel.mels),
        condition=regulate(model, quantized, jnp.asarray([codes], jnp.int32), frames),
        frames=frames,
        quantized=quantized,
        codes=codes,
    )
