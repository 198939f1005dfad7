"""The end-to-end run: from audio files and text to the waveform, through the production path.

Intermediate arrays are compared too, under the names of their own files.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from indextts_jax.audio.io import resample
from indextts_jax.emotion.vectors import merge_emotion, mix_weighted
from indextts_jax.engine.acoustic import Line, SynthesisRow, encode_rows, flow_frames, mel_of_rows
from indextts_jax.errors import InputError
from indextts_jax.models.length_regulator import target_length
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import pad
from indextts_jax.runtime.model import Model
from indextts_jax.validation import encoders, gpt
from indextts_jax.validation.acoustic import turned
from indextts_jax.validation.compare import errors
from indextts_jax.validation.golden import Golden
from indextts_jax.voices.analysis import ENCODER_RATE, Signals, analyse_signals, semantic

GUIDANCE, STEPS = 0.7, 25  # of `end_to_end.mel`, if it has no `settings`
PCM = 32767  # full scale of 16-bit samples


def _alpha_of_the_gpt(golden: Golden) -> str:
    """The recorded emotion vector that is nearest to the GPT's input.

    Raises:
        InputError: if none was recorded.
    """
    names = list(encoders.alphas(golden))
    if not names:
        raise InputError(f"{golden.path}: conditioning.npz has no array emovec_alpha_*")
    given = golden["gpt", "emovec"]
    return min(names, key=lambda name: errors(golden["conditioning", name], given))


def _flow(golden: Golden) -> dict[str, Any]:
    """Steps and guidance of the recorded mel."""
    if "settings" not in golden.arrays("end_to_end"):
        return {"steps": STEPS, "guidance": GUIDANCE}
    recorded = golden.settings("end_to_end", "settings")
    return {"steps": int(recorded["steps"]), "guidance": float(recorded["guidance"])}


def one_run(model: Model, golden: Golden) -> dict[tuple[str, str], Any]:
    """Our arrays by file and name, including `end_to_end`."""
    prompts = encoders.signals(model, golden)
    wide, emo = prompts["spk_22k"], prompts["emo_16k"]
    narrow = resample(wide[0], model.config.mel.sample_rate, ENCODER_RATE)[None]
    audio = prompts | {"spk_16k": narrow} | encoders.features(model, wide, narrow, emo)
    made: dict[tuple[str, str], Any] = {("audio", name): array for name, array in audio.items()}

    voice, parts = analyse_signals(model, Signals(wide[0], narrow[0]), narrow[0])
    rows, frames = int(parts.length[0]), voice.frames
    emo_semantic, emo_length = semantic(model, emo[0])
    emotion = stages.emotion_vector(model, emo_semantic, emo_length)
    vectors = {
        name: merge_emotion(voice.base, emotion, alpha)
        for name, alpha in encoders.alphas(golden).items()
    }
    vector = vectors[_alpha_of_the_gpt(golden)]
    weights = jnp.asarray(golden["emotion_vector", "weights"][None])
    prototype = stages.nearest_prototypes(model, voice.style, weights)
    assert parts.codes is not None
    made |= {
        ("w2v", "spk_semantic"): parts.semantic[:, :rows],
        ("w2v", "emo_semantic"): emo_semantic[:, : int(emo_length[0])],
        ("codec", "semantic"): parts.semantic[:, :rows],
        ("codec", "codes"): parts.codes[:, :rows],
        ("codec", "quantized"): parts.quantized[:, :rows],
        ("campplus", "style"): voice.style,
        ("conditioning", "speaker_latents"): voice.latents,
        ("conditioning", "emovec_speaker"): voice.base,
        ("conditioning", "emovec_emotion"): emotion,
        **{("conditioning", name): array for name, array in vectors.items()},
        ("emotion_vector", "matrix_part"): prototype,
        ("emotion_vector", "emovec"): mix_weighted(prototype, weights, voice.base),
        ("gpt", "emovec"): vector,
        ("gpt", "speaker_latents"): voice.latents,
        ("length_regulator", "prompt_in"): parts.quantized[:, :rows],
        ("length_regulator", "prompt_condition"): voice.condition[:, :frames],
        ("cfm", "prompt_mel"): turned(voice.mel[:, :frames]),
        ("cfm", "style"): voice.style,
    }

    text = golden["end_to_end", "text_ids"].astype(np.int32)
    prompt = gpt.Prompt(voice.latents, vector)
    generated = gpt.greedy(model, prompt, text, gpt.Searches.of(golden))
    if np.array_equal(text, golden["gpt", "text_ids"]):
        made["gpt", "greedy_codes"] = generated
    ids = gpt.cut(model, generated)[0]
    count, target = len(ids), target_length(len(ids), model.config.frames_per_code)
    spoken = [SynthesisRow(Line(text[0].tolist(), voice, vector), ids, target)]
    coded = encode_rows(model, spoken)
    assert coded.latents is not None
    noise = turned(golden["end_to_end", "noise"])
    size = flow_frames(model, spoken)
    mel, condition = mel_of_rows(model, spoken, coded, pad(noise[:, :size], size), **_flow(golden))
    wave = np.asarray(stages.vocode(model, mel, jnp.asarray([target], jnp.int32)))[
        :, None, : target * model.config.mel.hop
    ]
    return made | {
        ("gpt_latent", "codes"): ids[None],
        ("gpt_latent", "latent"): coded.latents[:, :count],
        ("length_regulator", "infer_in"): coded.sequence[:, :count],
        ("length_regulator", "condition"): condition[:, :target],
        ("end_to_end", "codes"): ids[None],
        ("end_to_end", "mel"): turned(mel[:, :target]),
        ("end_to_end", "wav"): wave,
        ("end_to_end", "wav_int16_scale"): np.clip(wave * PCM, -PCM, PCM),
    }
