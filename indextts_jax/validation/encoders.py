"""Validation of the stages from audio files to the GPT's conditioning."""

import re

import jax.numpy as jnp
import numpy as np

from indextts_jax.audio.features import centred, filter_bank, log_mel, semantic_features
from indextts_jax.audio.io import load_audio, resample
from indextts_jax.emotion.vectors import merge_emotion, mix_weighted
from indextts_jax.runtime import inner_stages, stages
from indextts_jax.runtime.model import Model
from indextts_jax.validation.golden import Arrays, Golden, named, number
from indextts_jax.voices.analysis import ENCODER_RATE


def lengths_of(array: np.ndarray) -> jnp.ndarray:
    """The lengths of rows without padding."""
    return jnp.full(len(array), array.shape[1], jnp.int32)


def alphas(golden: Golden) -> dict[str, float]:
    """The recorded emotion blends: array name to alpha."""
    found = named(r"emovec_alpha_([\d_]+)", golden.arrays("conditioning"))
    return {name: number(match.group(1)) for name, match in found.items()}


def signals(model: Model, golden: Golden) -> Arrays:
    """The prompts, loaded and trimmed."""
    rate, longest = model.config.mel.sample_rate, model.config.limits.prompt_seconds
    return {
        "spk_22k": load_audio(golden.speaker, rate, longest)[None],
        "emo_16k": load_audio(golden.emotion, ENCODER_RATE, longest)[None],
    }


def features(model: Model, spk_22k: np.ndarray, spk_16k: np.ndarray, emo_16k: np.ndarray) -> Arrays:
    """All features of the prompts' signals."""
    made: Arrays = {}
    for prompt, signal in (("spk", spk_16k), ("emo", emo_16k)):
        values, mask = semantic_features(signal[0])
        made |= {f"{prompt}_features": values[None], f"{prompt}_mask": mask[None]}
    banks = filter_bank(spk_16k[0])
    return made | {
        "ref_mel": log_mel(spk_22k[0], model.config.mel).T[None],
        "fbank": banks,
        "fbank_centered": centred(banks),
    }


def audio(model: Model, golden: Golden) -> Arrays:
    """`audio.npz`."""
    made = signals(model, golden)
    spk_22k = golden["audio", "spk_22k"]
    made["spk_16k"] = resample(spk_22k[0], model.config.mel.sample_rate, ENCODER_RATE)[None]
    spk_16k, emo_16k = golden["audio", "spk_16k"], golden["audio", "emo_16k"]
    return made | features(model, spk_22k, spk_16k, emo_16k)


def prompt_states(model: Model, golden: Golden) -> Arrays:
    """The arrays of both prompts in `w2v.npz`."""
    made: Arrays = {}
    for prompt in ("spk", "emo"):
        inputs = (golden["audio", f"{prompt}_features"], golden["audio", f"{prompt}_mask"])
        hidden = _states(model, *inputs)
        made[f"{prompt}_semantic"] = stages.semantic_features(
            model, inputs[0], inputs[1].astype(bool)
        )
        if prompt == "spk":
            for name, match in named(r"hidden_(\d+)", golden.arrays("w2v")).items():
                made[name] = hidden[int(match.group(1))]
    return made


def _states(model: Model, values: np.ndarray, mask: np.ndarray) -> jnp.ndarray:
    return inner_stages.hidden_states(model, values, mask.astype(bool))


def semantic_encoder(model: Model, golden: Golden) -> Arrays:
    """`w2v.npz`."""
    made = prompt_states(model, golden)
    batch = _states(model, golden["w2v", "batch_features"], golden["w2v", "batch_mask"])
    for name, match in named(r"batch_hidden_(\d+)", golden.arrays("w2v")).items():
        made[name] = batch[int(match.group(1))]
    return made


def semantic_codec(model: Model, golden: Golden) -> Arrays:
    """`codec.npz`."""
    semantic = golden["codec", "semantic"]
    lengths = lengths_of(semantic)
    codes, quantized = stages.quantize(model, semantic, lengths)
    return {
        "encoder_out": inner_stages.encode_semantic(model, semantic, lengths),
        "codes": codes,
        "quantized": quantized,
        "vq2emb": stages.embed_codes(model, golden["codec", "codes"].astype(np.int32)),
    }


def style(model: Model, golden: Golden) -> Arrays:
    """The style vector in `campplus.npz`."""
    banks = golden["audio", "fbank_centered"][None]
    return {"style": stages.style_vector(model, banks, lengths_of(banks))}


def style_encoder(model: Model, golden: Golden) -> Arrays:
    """`campplus.npz`."""
    banks = golden["audio", "fbank_centered"][None]
    head = inner_stages.style_head(model, banks, lengths_of(banks))
    return style(model, golden) | {"head_out": np.asarray(head).transpose(0, 2, 1)}


def conditioning(model: Model, golden: Golden) -> Arrays:
    """`conditioning.npz`."""
    speaker, emotion = golden["w2v", "spk_semantic"], golden["w2v", "emo_semantic"]

    of_speaker, of_emotion = (speaker, lengths_of(speaker)), (emotion, lengths_of(emotion))
    made = {
        "conformer_out": inner_stages.encode_speaker(model, *of_speaker)[0],
        "speaker_latents": stages.speaker_latents(model, *of_speaker),
        "emo_conformer_out": inner_stages.encode_emotion(model, *of_emotion)[0],
        "emo_perceiver_out": inner_stages.emotion_summary(model, *of_emotion),
        "emovec_speaker": stages.emotion_vector(model, *of_speaker),
        "emovec_emotion": stages.emotion_vector(model, *of_emotion),
    }
    return made | {
        name: merge_emotion(made["emovec_speaker"], made["emovec_emotion"], alpha)
        for name, alpha in alphas(golden).items()
    }


def emotion_prototypes(model: Model, golden: Golden) -> Arrays:
    """`emotion_vector.npz`."""
    style = golden["campplus", "style"]
    weights = golden["emotion_vector", "weights"][None]
    part = stages.nearest_prototypes(model, style, weights)
    speaker = jnp.asarray(golden["conditioning", "emovec_speaker"])
    return {
        "rows": inner_stages.prototype_rows(model, style)[0],
        "matrix_part": part,
        "emovec": mix_weighted(part, jnp.asarray(weights), speaker),
    }


def pattern_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """Joins several names or patterns to one pattern."""
    return re.compile("|".join(f"(?:{name})" for name in names) or r"(?!)")
