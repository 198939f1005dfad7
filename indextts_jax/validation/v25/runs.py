"""The recorded runs of version 2.5: from audio files and a text to the waveform.

A run goes through the production path: front end, analysis, decoding, codec, flow and vocoder.
Noise and draws are the recorded ones.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.acoustic import Line, SynthesisRow, encode_rows, flow_frames, mel_of_rows
from indextts_jax.engine.settings import PAUSE
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import pad
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.text.frontend import TextSettings
from indextts_jax.validation import gpt
from indextts_jax.validation.acoustic import turned
from indextts_jax.validation.golden import Golden
from indextts_jax.voices.analysis import EmotionPrompt, Voice, analyse_emotion, analyse_voice

GUIDANCE, STEPS = 0.7, 25
PCM = 32767  # full scale of 16-bit samples
STOP_TEXT = 1  # the id that the reference adds to the text
SAMPLED = (
    *("top_p", "top_k", "temperature", "repetition_penalty", "length_penalty"),
    *("typical_sampling", "typical_mass"),
)
KNOWN = (
    *(*SAMPLED, "num_beams", "max_mel_tokens", "emo_audio_prompt", "emo_alpha", "emo_vector"),
    *("duration_factor", "interval_silence", "max_text_tokens_per_segment"),
)
RUNS = ("end_to_end", "end_to_end_vector", "end_to_end_default")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """One recorded run: the arguments of the reference's `infer`."""

    golden: Golden
    file: str

    def __getitem__(self, name: str) -> np.ndarray:
        return self.golden[self.file, name]

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments besides speaker, text and language.

        Raises:
            InputError: for one that is not known here.
        """
        given = self.golden.settings(self.file, "settings")
        if unknown := set(given) - set(KNOWN):
            raise InputError(f"{self.file}: unknown settings {', '.join(sorted(unknown))}")
        return given

    @property
    def count(self) -> int:
        """Segments."""
        return int(self["segments"])

    @property
    def sampling(self) -> SamplingConfig:
        """How codes were chosen; the best of one beam is what greedy decoding takes."""
        given = self.settings
        beams = given.get("num_beams", 3)
        chosen = {name: given[name] for name in SAMPLED if name in given}
        return SamplingConfig(
            beams=beams,
            sample=not (beams == 1 and given.get("top_k") == 1),
            max_codes=given.get("max_mel_tokens", SamplingConfig().max_codes),
            **chosen,
        )


def segments(model: Model, recorded: Recorded) -> list[tuple[list[int], int | None]]:
    """Ids and language of each segment, as the reference's front end makes them."""
    given, holds = recorded.settings, model.config.gpt.max_text_tokens
    limit = given.get("max_text_tokens_per_segment", model.config.limits.segment_tokens)
    settings = TextSettings(compat=True, segment_tokens=min(limit, holds))
    version = version_of(model.config)
    frontend = version.frontend(model.tokenizer, settings, str(recorded["lang"]))
    script = frontend.prepare(str(recorded["text"]))
    return [(list(one.ids), version.language_of(one)) for one in script.segments]


def emotion_of(model: Model, voice: Voice, recorded: Recorded) -> Any:
    """The emotion vector of a run."""
    given = recorded.settings
    alpha = given.get("emo_alpha", 1.0)
    if "emo_vector" in given:
        return emotion_vector(model, voice, Emotion(weights=given["emo_vector"], alpha=alpha))
    if "emo_audio_prompt" not in given:
        return emotion_vector(model, voice)
    prompt: EmotionPrompt = analyse_emotion(model, recorded.golden.emotion)
    return emotion_vector(model, voice, Emotion(prompt=prompt, alpha=alpha))


def codes_of(model: Model, line: Line, recorded: Recorded, index: int) -> np.ndarray:
    """The codes of a segment as recorded: with the stop code, if it came."""
    text = np.asarray([[*line.tokens, STOP_TEXT]], np.int32)
    language = None if line.language is None else np.asarray([line.language])
    prompt = gpt.Prompt(line.voice.latents, line.emotion, language)
    draws = recorded.golden.arrays(recorded.file).get(f"exponential_{index}")
    return gpt.with_stop(gpt.decoded(model, prompt, text, recorded.sampling, draws))


def joined(waves: list[np.ndarray], pause: float, rate: int) -> np.ndarray:
    """16-bit samples of several segments, truncated, with silence between them."""
    silence = np.zeros(int(rate * pause), np.int16)
    parts: list[np.ndarray] = []
    for wave in waves:
        samples = np.clip(PCM * wave.reshape(-1), -PCM, PCM).astype(np.int16)
        parts += [silence, samples] if parts else [samples]
    return np.concatenate(parts)[:, None]


def one_run(model: Model, golden: Golden, file: str) -> dict[tuple[str, str], Any]:
    """Our arrays of one recorded run, by file and name."""
    recorded = Recorded(golden, file)
    version, rate = version_of(model.config), model.config.frames_per_code
    voice = analyse_voice(model, golden.speaker)
    vector = emotion_of(model, voice, recorded)
    found = segments(model, recorded)
    made: dict[str, Any] = {
        "emovec": vector,
        "segments": np.asarray(len(found)),
        "lang_id": np.asarray([language for _, language in found[:1]]),
    }
    for index, (ids, language) in enumerate(found):
        line = Line(ids, voice, vector, language)
        made[f"ids_{index}"] = np.asarray([[*ids, STOP_TEXT]])
        codes = made[f"codes_{index}"] = codes_of(model, line, recorded, index)
        kept = gpt.cut(model, codes)[0]
        factor = recorded.settings.get("duration_factor", 1.0)
        frames = version.frames(len(kept), rate, factor=factor)
        spoken = [SynthesisRow(line, kept, frames)]
        noise, size = turned(recorded[f"noise_{index}"]), flow_frames(model, spoken)
        coded = encode_rows(model, spoken)
        mel, _ = mel_of_rows(
            model, spoken, coded, pad(noise[:, :size], size), steps=STEPS, guidance=GUIDANCE
        )
        wave = np.asarray(stages.vocode(model, mel, jnp.asarray([frames], jnp.int32)))
        made[f"mel_{index}"] = turned(mel[:, :frames])
        made[f"wav_{index}"] = wave[:, : frames * model.config.mel.hop].reshape(
            (*recorded[f"wav_{index}"].shape[:-1], -1)
        )
    # Joined from the recorded waves: truncated samples may differ by one where floats hardly do.
    waves = [recorded[f"wav_{index}"] for index in range(recorded.count)]
    pause = recorded.settings.get("interval_silence", 1000 * PAUSE) / 1000
    made["wav_int16"] = joined(waves, pause, model.config.mel.sample_rate)
    return {(file, name): array for name, array in made.items()} | (
        prompt_arrays(model, golden, voice) if file == RUNS[0] else {}
    )


def prompt_arrays(model: Model, golden: Golden, voice: Voice) -> dict[tuple[str, str], Any]:
    """What the analysis of the prompts gives, which the files of the stages hold too."""
    rows, frames = voice.codes, voice.frames
    emotion = analyse_emotion(model, golden.emotion)
    return {
        ("w2v", "spk_semantic"): voice.quantized[:, :rows],
        ("campplus", "style"): voice.style,
        ("conditioning", "speaker_row"): voice.latents,
        ("conditioning", "emovec_speaker"): voice.base,
        ("conditioning", "emovec_speaker_emotion_route"): voice.own,
        ("conditioning", "emovec_emotion"): emotion.vector,
        ("length_regulator", "prompt_in"): voice.quantized[:, :rows],
        ("length_regulator", "prompt_condition"): voice.condition[:, :frames],
        ("cfm", "prompt_mel"): turned(voice.mel[:, :frames]),
        ("cfm", "style"): voice.style,
    }
