"""From a text and a voice to a waveform: the whole path as plain calls."""

import dataclasses
import functools
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.buckets import bucket, pad
from indextts_jax.clock import Clock, Watch
from indextts_jax.emotion import (
    merge_emotion,
    mix_weighted,
    normalize_weights,
    random_rows,
    scale_weights,
)
from indextts_jax.emotion_modes import choose, told
from indextts_jax.emotion_text import EmotionReader, Reading
from indextts_jax.errors import InputError
from indextts_jax.model import Model, load_model
from indextts_jax.models.dit import DiT
from indextts_jax.models.length_regulator import target_length
from indextts_jax.prompts import Voice, analyse_emotion, analyse_voice, regulate
from indextts_jax.sampling.flow import continue_mel, noise
from indextts_jax.sampling.generate import Generated, SamplingConfig, generate
from indextts_jax.speech import Segment, Speech
from indextts_jax.text.frontend import Script, TextFrontend, TextSettings
from indextts_jax.text.glossary import Glossary

MAX_CODES = 1500  # new codes in a segment, the reference's limit (30 s)
SEGMENT_TOKENS = 120  # text tokens in a segment, the reference's limit
PAUSE = 0.2  # seconds of silence between segments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How to speak; the defaults are the reference's."""

    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    max_codes: int | None = None  # new codes in a segment; by default as many as the model holds
    segment_tokens: int | None = None  # likewise, text tokens
    steps: int = 25  # of the flow
    guidance: float = 0.7  # of the flow, 0 for none
    pause: float = PAUSE  # seconds
    quick_tokens: int = 0  # segments that begin before so many text tokens hold half as many
    text_compat: bool = False  # read as the reference does, faults included
    glossary: Glossary | None = None  # how terms are read
    strict_text: bool = False  # refuse a text with what the tokenizer does not know

    def __post_init__(self) -> None:
        usual = SamplingConfig()
        own = (self.sampling.max_codes, self.sampling.start_code)
        if own != (usual.max_codes, usual.start_code):
            raise InputError("max_codes and start_code are not set in Settings.sampling")
        if self.steps < 1:
            raise InputError(f"--steps must be at least 1, got {self.steps}")
        if not 0 <= self.guidance < float("inf"):
            raise InputError(f"--guidance must be 0 or more, got {self.guidance}")
        self.reading(segment_tokens=SEGMENT_TOKENS)

    def reading(self, segment_tokens: int) -> TextSettings:
        """How the text is read and cut, with segments of at most so many text tokens."""
        return TextSettings(
            compat=self.text_compat,
            segment_tokens=segment_tokens,
            quick_tokens=self.quick_tokens,
            pause=self.pause,
            glossary=self.glossary,
            strict=self.strict_text,
        )


def limit(name: str, wish: int | None, usual: int, holds: int) -> int:
    """A limit that the position tables hold; a larger wish is an error."""
    if wish is None:
        return min(usual, holds)
    if not 1 <= wish <= holds:
        raise InputError(f"{name} must be 1 to {holds} for this model, got {wish}")
    return wish


def code_limit(model: Model, settings: Settings) -> int:
    """New codes in a segment, at most."""
    return limit("max_codes", settings.max_codes, MAX_CODES, model.config.gpt.max_codes)


def segment_limit(model: Model, wish: int | None) -> int:
    """Text tokens in a segment, at most."""
    holds = model.config.gpt.max_text_tokens
    return limit("the segment length", wish, SEGMENT_TOKENS, holds)


@functools.lru_cache(maxsize=2)  # a text is looked at before it is spoken
def _prepared(frontend: TextFrontend, text: str) -> Script:
    return frontend.prepare(text)


@dataclasses.dataclass(frozen=True)
class IndexTTS:
    """A model that speaks: load once, speak many times. Calls share no state: threads may share it.

    tts = IndexTTS.load("indextts2")
    anna = tts.voice("anna.wav")
    tts.speak("Good morning.", anna).save("morning.wav")
    """

    model: Model
    reader: EmotionReader | None = None  # reads emotion from words

    @classmethod
    def load(
        cls, path: str | Path, dtype: str | None = None, *, reads_emotion: bool = False
    ) -> "IndexTTS":
        """The model of an imported checkpoint; see `load_model`.

        With `reads_emotion`, also the one that reads emotion from words (2.4 GB in float32).
        """
        reader = EmotionReader.load(path, dtype) if reads_emotion else None
        return cls(load_model(path, dtype=dtype), reader)

    def voice(self, path: str | Path, clock: Clock | None = None) -> Voice:
        """The analysis of a speaker prompt (WAV, FLAC, OGG or MP3; the first 15 s are heard)."""
        with jax.default_device(self.model.device):
            return analyse_voice(self.model, path, clock)

    def emotion(self, path: str | Path, clock: Clock | None = None) -> Float[Array, "1 d"]:
        """The emotion vector of an emotion prompt, for `speak`."""
        with jax.default_device(self.model.device):
            return analyse_emotion(self.model, path, clock)

    def read_emotion(self, text: str) -> Reading:
        """The eight weights that a text, or a description of an emotion, stands for.

        Raises:
            InputError: if the model was loaded without `reads_emotion`, or cannot read the text.
            ReplyError: if the reply cannot be understood.
        """
        if self.reader is None:
            raise InputError("emotion_text needs a model loaded with reads_emotion=True")
        return self.reader.read(text)

    def segments(self, text: str, limit: int | None = None) -> list[list[int]]:
        """Text tokens of each segment of a text.

        Raises:
            InputError: if nothing in the text can be spoken.
        """
        script = self.script(text, Settings(segment_tokens=limit))
        return [list(segment.ids) for segment in script.segments]

    def script(self, text: str, settings: Settings | None = None) -> Script:
        """What will be read of a text: words, segments, pauses, and what is odd about it.

        Raises:
            InputError: if nothing in the text can be spoken, or it is refused.
        """
        settings = settings or Settings()
        size = segment_limit(self.model, settings.segment_tokens)
        script = _prepared(TextFrontend(self.model.tokenizer, settings.reading(size)), text)
        if not script.segments:
            raise InputError("the text is empty: there is nothing to speak")
        return script

    def check(
        self,
        text: str,
        settings: Settings,
        *,
        emotion: bool = False,
        emotion_alpha: float | None = None,
        emotion_weights: Sequence[float] | None = None,
    ) -> None:
        """Makes sure, before any long work, that `speak` will not refuse what it is given.

        Raises:
            InputError: as `speak` would, and for an emotion that it would not use; `emotion` says
                whether there is an emotion prompt.
        """
        self.script(text, settings)
        code_limit(self.model, settings)
        check_emotion(self.model, emotion, emotion_alpha, emotion_weights)

    def unknown(self, text: str) -> list[str]:
        """The pieces of a text that the tokenizer does not know: they are not spoken as written."""
        return [unknown.piece for unknown in self.script(text).unknown]

    def speak(
        self,
        text: str,
        voice: Voice,
        *,
        emotion: Float[Array, "1 d"] | None = None,
        emotion_alpha: float | None = None,
        emotion_weights: Sequence[float] | None = None,
        emotion_text: str | None = None,
        emotion_random: bool = False,
        emotion_bias: bool = False,
        settings: Settings | None = None,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Speech:
        """The text in that voice; the same seed gives the same waveform.

        The emotion is the voice's own, or that of an emotion prompt (`emotion`, blended by
        `emotion_alpha`), or given by eight weights: happy, angry, sad, afraid, disgusted,
        melancholic, surprised, calm; or read from words (`emotion_text`: a description, or the text
        itself). Words go before weights, weights before a prompt, as in the reference: what is then
        not used is told by a warning.

        `emotion_alpha` scales weights too. `emotion_random` draws the stored emotion vectors by the
        seed, instead of those that suit the voice; `emotion_bias` changes given weights as the
        reference's web interface does (see `normalize_weights`).

        Raises:
            InputError: for what exceeds the model's tables or cannot be used.
            RuntimeError: if a segment comes out without a single code, or the emotion model's reply
                cannot be understood.
        """
        settings = settings or Settings()
        choice = choose(
            text=emotion_text is not None,
            weights=emotion_weights is not None,
            prompt=emotion is not None,
            alpha=emotion_alpha is not None,
            random=emotion_random,
            bias=emotion_bias,
        )
        if choice.unused:
            warnings.warn(told(choice), stacklevel=2)
        if choice.mode == "own":
            emotion_alpha = None
        if choice.mode != "prompt":
            emotion = None
        if choice.mode == "weights" and emotion_bias and emotion_weights is not None:
            check_emotion(self.model, False, emotion_alpha, emotion_weights)
            emotion_weights = normalize_weights(emotion_weights)
        clock = Clock(watch)
        script = self.script(text, settings)
        segments = [list(segment.ids) for segment in script.segments]
        if emotion_text is not None:
            with clock.stage("emotion from words"):
                emotion_weights = self.read_emotion(emotion_text).weights
        groups = self.model.config.emotion_prototypes.groups
        rows = random_rows(groups, random.Random(seed)) if emotion_random else None
        waves, reports = [], []
        # The default device is a thread's own setting: the model's decides, whichever thread asks.
        with jax.default_device(self.model.device):
            vector = emotion_vector(
                self.model, voice, emotion, emotion_alpha, emotion_weights, rows
            )
            for index, tokens in enumerate(segments):
                clock.label = f" {index + 1}/{len(segments)}" if len(segments) > 1 else ""
                keys = segment_keys(seed, index)
                wave, report = _speak_segment(
                    self.model, tokens, voice, vector, settings, keys, clock
                )
                waves.append(wave)
                reports.append(report)
        rate = self.model.config.mel.sample_rate
        pauses = [script.lead, *(segment.pause for segment in script.segments)]
        samples = _join(waves, [int(rate * pause) for pause in pauses])
        return Speech(samples, rate, tuple(reports), clock.seconds)


def check_emotion(
    model: Model, prompt: bool, alpha: float | None, weights: Sequence[float] | None
) -> None:
    """Makes sure that what is asked of the emotion fits together.

    Raises:
        InputError: if it does not.
    """
    if prompt and weights is not None:
        raise InputError("an emotion prompt and emotion weights exclude each other: give one")
    if alpha is not None and not prompt and weights is None:
        raise InputError("emotion_alpha needs an emotion prompt or emotion weights")
    if alpha is not None and not np.isfinite(alpha):
        raise InputError(f"emotion_alpha must be a finite number, got {alpha}")
    groups = len(model.config.emotion_prototypes.groups)
    if weights is not None and (len(weights) != groups or not np.isfinite(weights).all()):
        raise InputError(f"emotion_weights must be {groups} finite numbers, got {list(weights)}")


def emotion_vector(
    model: Model,
    voice: Voice,
    emotion: Float[Array, "1 d"] | None,
    alpha: float | None,
    weights: Sequence[float] | None,
    rows: Sequence[int] | None = None,
) -> Float[Array, "1 d"]:
    """The emotion vector that the GPT is given.

    With weights, `rows` are the stored vectors, one an emotion, that are taken; by default those
    that suit the voice.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    check_emotion(model, emotion is not None, alpha, weights)
    if emotion is not None:
        return merge_emotion(voice.base, emotion, 1.0 if alpha is None else alpha)
    own = merge_emotion(voice.base, voice.own, 1.0)
    if weights is None:
        return own
    numbers = [float(weight) for weight in weights]
    scaled = jnp.asarray([scale_weights(numbers, 1.0 if alpha is None else alpha)], jnp.float32)
    if rows is None:
        prototype = model.run("emotion_prototypes", "__call__", voice.style, scaled)
    else:
        prototype = model.run("emotion_prototypes", "mix", scaled, jnp.asarray([rows], jnp.int32))
    return mix_weighted(prototype, scaled, own)


@dataclasses.dataclass(frozen=True)
class Codes:
    """Finished codes of one segment, without the stop code."""

    ids: Int[np.ndarray, "1 s"]  # padded to a bucket
    count: int

    @classmethod
    def padded(cls, model: Model, ids: Int[np.ndarray, " n"]) -> "Codes":
        """Codes with zeros up to a bucket."""
        size = bucket(len(ids), model.config.buckets.codes)
        return cls(pad(np.asarray(ids, np.int32)[None], size), len(ids))

    @property
    def length(self) -> Int[Array, " 1"]:
        """The number of codes, as the stages take it."""
        return jnp.asarray([self.count], jnp.int32)


def text_batch(model: Model, tokens: Sequence[int]) -> tuple[Int[Array, "1 t"], Int[Array, " 1"]]:
    """Text tokens padded to a bucket, and their number."""
    holds = model.config.gpt.max_text_tokens
    ladder = sorted({min(rung, holds) for rung in model.config.buckets.text})
    padded = pad(np.asarray([tokens], np.int32), bucket(len(tokens), ladder))
    return jnp.asarray(padded), jnp.asarray([len(tokens)], jnp.int32)


def speech_latents(
    model: Model,
    latents: Float[Array, "1 l d"],
    emotion: Float[Array, "1 d"],
    tokens: Sequence[int],
    codes: Codes,
) -> Float[Array, "1 s d"]:
    """The GPT's latents of finished codes."""
    text = text_batch(model, tokens)
    return model.run("gpt", "latents", latents, emotion, *text, codes.ids, codes.length)


def speech_sequence(
    model: Model, codes: Codes, latents: Float[Array, "1 s d"]
) -> Float[Array, "1 s e"]:
    """What the length regulator stretches: the codes' embeddings and the projected latents."""
    return model.run("semantic_codec", "vq2emb", codes.ids) + model.run(
        "length_regulator", "project", latents
    )


def speech_mel(
    model: Model,
    sequence: Float[Array, "1 s d"],
    codes: Codes,
    voice: Voice,
    noise: Float[ArrayLike, "1 g m"],
    *,
    steps: int,
    guidance: float,
) -> tuple[Float[Array, "1 f m"], Float[Array, "1 f c"]]:
    """The mel of finished codes and its condition, both padded to a bucket.

    `noise` spans prompt and target, padded to a bucket.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    frames = target_length(codes.count)
    condition = regulate(model, sequence, codes.length, frames)
    guided = guidance > 0
    mel = model.run(
        "dit",
        _guided_mel if guided else continue_mel,
        *([jnp.asarray(guidance, jnp.float32)] if guided else []),
        noise,
        voice.mel,
        voice.condition,
        jnp.asarray([voice.frames], jnp.int32),
        condition,
        jnp.asarray([frames], jnp.int32),
        voice.style,
        steps=steps,
        **({} if guided else {"guidance": 0.0}),
    )
    return mel, condition


def _guided_mel(dit: DiT, guidance: Float[Array, ""], *arrays: Any, steps: int) -> jax.Array:
    """`continue_mel` with the guidance as an array: another value compiles nothing."""
    return continue_mel(dit, *arrays, steps=steps, guidance=guidance)


def speech_codes(
    model: Model,
    tokens: Sequence[int],
    voice: Voice,
    emotion: Float[Array, "1 d"],
    settings: Settings,
    key: Key[Array, ""],
) -> tuple[Int[np.ndarray, " n"], bool]:
    """The codes of one segment, and whether the limit came before a stop code."""
    size = code_limit(model, settings)
    # The reference may draw the start code, for which the codec has no entry, and then fails.
    sampling = dataclasses.replace(settings.sampling, max_codes=size, start_code=False)
    generated: Generated = model.run(
        "gpt",
        generate,
        voice.latents,
        emotion,
        *text_batch(model, tokens),
        key[None],
        sampling.numbers,
        strategy=sampling.strategy,
    )
    (ids,), (count,), (truncated,) = map(np.asarray, generated)
    return ids[:count], bool(truncated)


def segment_keys(seed: int, index: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The random keys of one segment: of its codes, and of the flow's noise.

    Raises:
        InputError: for a seed that has no key of its own.
    """
    if not 0 <= seed < 2**32:  # JAX would take another one in silence
        raise InputError(f"the seed must be 0 to {2**32 - 1}, got {seed}")
    codes, noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), index))
    return codes, noise


def _speak_segment(
    model: Model,
    tokens: list[int],
    voice: Voice,
    emotion: Float[Array, "1 d"],
    settings: Settings,
    keys: tuple[Key[Array, ""], Key[Array, ""]],
    clock: Clock,
) -> tuple[Float32[np.ndarray, " n"], Segment]:
    """The waveform of one segment.

    Raises:
        RuntimeError: if it comes out without a single code.
    """
    code_key, noise_key = keys
    with clock.stage("codes"):
        ids, truncated = speech_codes(model, tokens, voice, emotion, settings, code_key)
    if not len(ids):
        raise RuntimeError("the model gave no code for a segment of the text; try another --seed")
    codes = Codes.padded(model, ids)
    wave = codes_to_wave(model, tokens, voice, emotion, codes, settings, noise_key, clock)
    report = Segment(len(tokens), codes.count, target_length(codes.count), truncated)
    return wave, report


def codes_to_wave(
    model: Model,
    tokens: Sequence[int],
    voice: Voice,
    emotion: Float[Array, "1 d"],
    codes: Codes,
    settings: Settings,
    key: Key[Array, ""],
    clock: Clock,
) -> Float32[np.ndarray, " n"]:
    """The waveform of one segment, from its finished codes; the key draws the flow's noise."""
    with clock.stage("latents"):
        latents = speech_latents(model, voice.latents, emotion, tokens, codes)
        sequence = jax.block_until_ready(speech_sequence(model, codes, latents))
    frames = target_length(codes.count)
    with clock.stage("flow"):
        size = bucket(voice.frames + frames, model.config.buckets.frames)
        noise = flow_noise(key, size, model.config.mel.mels)
        mel, _ = speech_mel(
            model,
            sequence,
            codes,
            voice,
            noise,
            steps=settings.steps,
            guidance=settings.guidance,
        )
        jax.block_until_ready(mel)
    with clock.stage("vocoder"):
        wave = np.asarray(model.run("vocoder", "__call__", mel, jnp.asarray([frames], jnp.int32)))
    return wave[0, : frames * model.config.mel.hop]


@functools.partial(jax.jit, static_argnums=(1, 2))
def flow_noise(key: Key[Array, ""], frames: int, mels: int) -> Float[Array, "1 f m"]:
    """The flow's noise of one segment; a frame's noise does not depend on the padded size."""
    return noise(key[None], frames, mels)


def _join(waves: Sequence[np.ndarray], silences: Sequence[int]) -> Float32[np.ndarray, " n"]:
    """The segments in order, with silence before the first and behind each, within [-1, 1]."""
    first, *behind = (np.zeros(silence, np.float32) for silence in silences)
    parts = [first]
    for wave, silence in zip(waves, behind, strict=True):
        parts += [wave, silence]
    return np.clip(np.concatenate(parts), -1.0, 1.0)
