"""Compiles everything that a request may need, before the first one comes.

    anna = tts.voice("anna.wav")
    warm_up(tts, anna)  # then no sentence compiles anything
    warm_up_prompts(tts)  # then no new prompt does

Padded lengths make the programs few: these functions walk through all of them. Nothing is spoken:
the stages are compiled, and give zeros.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from indextts_jax.audio.features import FRAME, HOP
from indextts_jax.buckets import bucket
from indextts_jax.clock import Clock, Watch
from indextts_jax.model import Model
from indextts_jax.pipeline import IndexTTS, emotion_vector
from indextts_jax.prompts import ENCODER_RATE, MAX_SECONDS, Signals, Voice, analyse_signals
from indextts_jax.settings import Settings, code_limit, segment_limit
from indextts_jax.stages import Codes, codes_to_wave, segment_keys, speech_codes
from indextts_jax.timing import Timing, frames_of


class Rehearsal(Model):
    """A model whose stages are compiled instead of run, and give zeros of the right shapes."""

    def run(self, component: str, function: Any, *arrays: Any, **static: Any) -> Any:
        """Zeros in the place of the result of a stage, which is compiled."""
        params = self.params[component]
        lowered = self.stage(component, function, **static).lower(params, *arrays)
        lowered.compile()  # kept by JAX, for the call with arrays of these shapes
        committed = any(
            leaf.committed for leaf in jax.tree.leaves((params, arrays)) if _placed(leaf)
        )
        device = self.device if committed else None

        def zeros(like: Any) -> jax.Array:
            return jax.device_put(np.zeros(like.shape, like.dtype), device)

        return jax.tree.map(zeros, lowered.out_info)


def _placed(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def _rehearsal(model: Model) -> Rehearsal:
    return Rehearsal(model.config, model.params, model.tokenizer, model.provenance)


def code_counts(model: Model, voice: Voice, settings: Settings) -> list[int]:
    """A number of codes for each way in which a segment's lengths may be padded."""
    buckets = model.config.buckets
    first: dict[tuple[int, ...], int] = {}
    for count in range(1, code_limit(model, settings) + 1):
        frames = _frames(model, count, settings)
        lengths = (frames, voice.frames + frames)
        padded = (bucket(count, buckets.codes), *(bucket(f, buckets.frames) for f in lengths))
        first.setdefault(padded, count)
    return list(first.values())


def _frames(model: Model, count: int, settings: Settings) -> int:
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
    else; other beams, flow steps or `max_codes` do. `watch` is told what is being compiled.
    """
    settings = settings or Settings()
    model = _rehearsal(tts.model)
    tell = watch or (lambda _: None)
    counts, lengths = code_counts(model, voice, settings), text_lengths(model, settings)
    with jax.default_device(model.device):
        code_key, noise_key = segment_keys(0, 0)
        nothing = [0.0] * len(model.config.emotion_prototypes.groups)
        emotion_vector(model, voice, voice.own, None, None)
        emotion_vector(model, voice, None, None, nothing)
        emotion_vector(model, voice, None, None, nothing, [0] * len(nothing))
        vector = emotion_vector(model, voice, None, None, None)
        for tokens in lengths:
            tell(f"codes of {tokens} text tokens")
            speech_codes(model, [0] * tokens, voice, vector, settings, code_key)
        for count in counts:
            tell(f"the sound of {count} codes")
            codes = Codes.padded(model, np.zeros(count, np.int32))
            for tokens in lengths:
                frames = _frames(model, count, settings)
                codes_to_wave(
                    model, [0] * tokens, voice, vector, codes, frames, settings, noise_key, Clock()
                )


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


def warm_up_prompts(tts: IndexTTS, *, watch: Watch | None = None) -> None:
    """Compiles what `voice` and `emotion` may need, whatever the length of the prompt."""
    model = _rehearsal(tts.model)
    tell = watch or (lambda _: None)
    with jax.default_device(model.device):
        for signals, emotion in prompt_signals(model):
            tell(f"prompts of {len(emotion) / ENCODER_RATE:.1f} s")
            analyse_signals(model, signals, emotion)
