"""The stages of version 2.5: how the arrays of each golden file are computed."""

import functools
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from indextts_jax.audio.features import semantic_features
from indextts_jax.audio.io import load_audio
from indextts_jax.config import HalfRateCodecConfig
from indextts_jax.emotion.vectors import merge_emotion, mix_weighted
from indextts_jax.runtime import inner_stages, stages
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.text.frontend import TextSettings
from indextts_jax.validation import acoustic, encoders, gpt
from indextts_jax.validation.encoders import lengths_of
from indextts_jax.validation.golden import Arrays, Golden, named, number
from indextts_jax.validation.stages import MARGINS, Stage
from indextts_jax.voices.analysis import ENCODER_RATE

BATCH_BEAM_CODES = 32  # of the recorded beam searches of a batch, at most


def emotion_route(model: Model, wav: Path) -> jnp.ndarray:
    """Semantic features of a recording that is loaded at the rate of the encoder."""
    signal = load_audio(wav, ENCODER_RATE, model.config.limits.prompt_seconds)
    values, mask = semantic_features(signal)
    return stages.semantic_features(model, values[None], mask[None].astype(bool))


def semantic_encoder(model: Model, golden: Golden) -> Arrays:
    """`w2v.npz`."""
    route = emotion_route(model, golden.speaker)
    return encoders.prompt_states(model, golden) | {"spk_semantic_emotion_route": route}


def semantic_codec(model: Model, golden: Golden) -> Arrays:
    """`codec.npz`: encoding of an even and an odd number of features, and decoding."""
    even = golden["codec", "even_in"]
    odd, given = even[:, :-1], golden["codec", "decode_codes"].astype(np.int32)
    lengths, counts = lengths_of(even), lengths_of(given)
    codes, quantized = stages.quantize(model, even, lengths)
    odd_codes, odd_quantized = stages.quantize(model, odd, lengths_of(odd))
    return {
        "down": inner_stages.downsample(model, even, lengths),
        "encoder_out": inner_stages.encode_semantic(model, even, lengths),
        "projected": inner_stages.project_semantic(model, even, lengths),
        "codes": codes,
        "quantized": quantized,
        "odd_codes": odd_codes,
        "odd_quantized": odd_quantized,
        "vq2emb": acoustic.turned(stages.embed_codes(model, given)),
        "decoder_out": inner_stages.decode_at_code_rate(model, given, counts),
        "decoded": stages.decode_codes(model, given, counts),
    }


def conditioning(model: Model, golden: Golden) -> Arrays:
    """`conditioning.npz`."""
    speaker, emotion = golden["w2v", "spk_semantic"], golden["w2v", "emo_semantic"]
    route = golden["w2v", "spk_semantic_emotion_route"]
    row = stages.style_latents(model, golden["conditioning", "style"])
    made = {
        "speaker_row": row,
        "emo_conformer_out": inner_stages.encode_emotion(model, emotion, lengths_of(emotion))[0],
        "emo_perceiver_out": inner_stages.emotion_summary(model, emotion, lengths_of(emotion)),
        "emovec_speaker": stages.emotion_vector(model, speaker, lengths_of(speaker)),
        "emovec_emotion": stages.emotion_vector(model, emotion, lengths_of(emotion)),
        "emovec_speaker_emotion_route": stages.emotion_vector(model, route, lengths_of(route)),
    }
    for name, alpha in encoders.alphas(golden).items():
        made[name] = merge_emotion(made["emovec_speaker"], made["emovec_emotion"], alpha)
        made.setdefault("conds", inner_stages.conditioning_rows(model, row, made[name]))
    return made


def emotion_prototypes(model: Model, golden: Golden) -> Arrays:
    """`emotion_vector.npz`."""
    style, weights = golden["campplus", "style"], golden["emotion_vector", "weights"][None]
    part = stages.nearest_prototypes(model, style, weights)
    own = jnp.asarray(golden["conditioning", "emovec_speaker_emotion_route"])
    return {
        "rows": inner_stages.prototype_rows(model, style)[0],
        "matrix_part": part,
        "emovec": mix_weighted(part, jnp.asarray(weights), own),
    }


def prompt(model: Model, golden: Golden) -> gpt.Prompt:
    """The projected style vector, the recorded emotion vector, and the language of the text."""
    row = stages.style_latents(model, golden["gpt", "style"])
    return gpt.Prompt(row, golden["gpt", "emovec"], golden["gpt", "lang_id"])


def single(model: Model, golden: Golden) -> Arrays:
    """`gpt.npz`."""
    text = golden["gpt", "text_ids"].astype(np.int32)
    _, mask = gpt.left_padded(model, prompt(model, golden), text)
    return gpt.single(model, golden, prompt) | {"mask": mask}


def batch(model: Model, golden: Golden) -> Arrays:
    """`gpt_batch.npz`."""
    text = golden["gpt_batch", "text_ids"].astype(np.int32)
    both = prompt(model, golden).repeated(len(text), golden["gpt_batch", "lang_ids"])
    made = gpt.batch(model, golden, prompt)
    for name, match in named(r"beam(\d+)_codes", golden.arrays("gpt_batch")).items():
        settings = SamplingConfig(
            beams=int(match.group(1)),
            sample=False,
            repetition_penalty=gpt.Searches.of(golden).penalty,
            max_codes=BATCH_BEAM_CODES,
        )
        made[name] = gpt.with_stop(gpt.decoded(model, both, text, settings))
    return made


def length_regulator(model: Model, golden: Golden) -> Arrays:
    """`length_regulator.npz`: a nearest length, the prompt, and a target at several factors."""

    def given(name: str) -> np.ndarray:
        return golden["length_regulator", name]

    assert isinstance(model.config.semantic_codec, HalfRateCodecConfig)
    codes = given("codes").astype(np.int32)
    sequence = stages.decode_codes(model, codes, lengths_of(codes))
    frames, rate = version_of(model.config).frames, model.config.frames_per_code
    made: Arrays = {
        "nearest_out": acoustic.regulated(
            model, given("nearest_in"), int(given("nearest_length")[0])
        ),
        "prompt_condition": acoustic.regulated(
            model, given("prompt_in"), golden["audio", "ref_mel"].shape[-1]
        ),
        "infer_in": sequence,
    }
    for name, match in named(r"condition(_[\d_]+)?", golden.arrays("length_regulator")).items():
        written = match.group(1) or ""
        factor = number(written.removeprefix("_")) if written else 1.0
        target = frames(codes.shape[1], rate, factor=factor)
        made[f"target_length{written}"] = np.asarray([target])
        made[name] = acoustic.regulated(model, sequence, target)
    return made


def text(model: Model, golden: Golden) -> Arrays:
    """`text.npz`: ids and languages of the first lines of `text.jsonl`, in the reference's way."""
    lines = (golden.path / TEXTS).read_text("utf-8").splitlines()
    numbers = [int(match.group(1)) for match in named(r"ids_(\d+)", golden.arrays("text")).values()]
    settings = TextSettings(
        compat=True,
        segment_tokens=min(model.config.limits.segment_tokens, model.config.gpt.max_text_tokens),
    )
    version, made, languages = version_of(model.config), {}, []
    for line in sorted(numbers):
        row = json.loads(lines[line])
        frontend = version.frontend(model.tokenizer, settings, row["lang"])
        first = frontend.prepare(row["input"]).segments[0]
        made[f"ids_{line:02}"] = np.asarray([*first.ids, model.config.gpt.stop_text])
        languages.append(version.language_of(first))
    return {**made, "lang_ids": np.asarray(languages)}


TEXTS = "text.jsonl"
STAGES = (
    Stage("text", "text", (), text),
    Stage("audio", "audio", (), encoders.audio),
    Stage("w2v", "semantic_encoder", ("semantic_encoder",), semantic_encoder, after=("audio",)),
    Stage(
        "codec",
        "semantic_codec",
        ("semantic_codec",),
        semantic_codec,
        ("even_in", "decode_codes", MARGINS),
    ),
    Stage("campplus", "style_encoder", ("style_encoder",), encoders.style, after=("audio",)),
    Stage(
        "conditioning",
        "conditioning",
        ("conditioning", "gpt"),
        conditioning,
        ("style",),
        ("w2v",),
    ),
    Stage(
        "emotion_vector",
        "emotion_prototypes",
        ("emotion_prototypes",),
        emotion_prototypes,
        ("weights", MARGINS),
        ("campplus", "conditioning"),
    ),
    Stage(
        "gpt",
        "gpt",
        ("gpt", "conditioning"),
        single,
        ("text_ids", "lang_id", "style", "emovec", "settings", MARGINS),
    ),
    Stage(
        "gpt_batch",
        "gpt",
        ("gpt", "conditioning"),
        batch,
        ("text_ids", "lang_ids", MARGINS),
        ("gpt",),
    ),
    Stage(
        "gpt_sampling",
        "gpt",
        ("gpt", "conditioning"),
        functools.partial(gpt.sampling, prompt_of=prompt),
        (r"\w+_exponential", r"\w+_settings", MARGINS),
        ("gpt",),
    ),
    Stage(
        "length_regulator",
        "length_regulator",
        ("length_regulator", "semantic_codec"),
        length_regulator,
        ("nearest_in", "nearest_length", "prompt_in", "codes", "duration_factor"),
        ("audio",),
    ),
    Stage(
        "cfm",
        "dit",
        ("dit",),
        acoustic.single_flow,
        ("noise", "prompt_mel", "condition", "style"),
    ),
    Stage("bigvgan", "vocoder", ("vocoder",), acoustic.vocoder, ("mel_in",)),
)
