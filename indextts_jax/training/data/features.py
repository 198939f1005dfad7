"""Features of clips: their dependencies, and their computation in batches.

Host features need no network; network features come from the compiled stages that `synth` uses, for
several clips at once. Padding does not change valid values.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jaxtyping import Float32

from indextts_jax.audio.features import (
    FRAME,
    HOP,
    centred,
    filter_bank,
    log_mel,
    semantic_features,
)
from indextts_jax.audio.io import load_audio, resample, resampled_length
from indextts_jax.config import RELEASES, ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.models.components import section_of
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad, within
from indextts_jax.runtime.model import Model
from indextts_jax.training.data.index import FEATURES
from indextts_jax.training.data.rows.manifest import Recording
from indextts_jax.training.data.rows.recording import to_int16
from indextts_jax.training.versions.interface import kind_named, kind_of
from indextts_jax.utils.hashing import digest, hash_arrays
from indextts_jax.utils.strict_data import to_data
from indextts_jax.voices import analysis
from indextts_jax.voices.analysis import ENCODER_RATE

VERSION = 1  # of the feature code: a new version recomputes everything

# Features that need no network.
HOST = ("text", "samples", "mel", "encoder_input", "encoder_mask", "banks")
LADDER = tuple(range(128, 1025, 128))  # padded lengths in semantic features: 20 s are 1,000
RATE = 50  # semantic features per second


def features_for(recipes: Iterable[str], version: str) -> tuple[str, ...]:
    """The features that recipes need, with their dependencies, in the order of `FEATURES`.

    Raises:
        InputError: for a recipe that is unknown, or that the version does not have.
    """
    wanted: set[str] = set()
    for name in recipes:
        wanted |= features_of(name, version)
    if "emotion" in wanted:
        wanted.add("emotion_prompt")  # only for rows that name one
    return tuple(name for name in FEATURES if name in wanted)


def features_of(recipe: str, version: str) -> frozenset[str]:
    """The features that a recipe needs, with their dependencies.

    Raises:
        InputError: for a recipe that is unknown, or that the version does not have.
    """
    kind = kind_named(version)
    if recipe not in kind.RECIPES:
        others = [other for other in RELEASES if recipe in kind_named(other).RECIPES]
        what = f"{RELEASES[version].name} has no" if others else "unknown"
        known = ", ".join(kind.RECIPES)
        raise InputError(f"for: {what} recipe {recipe!r:.40}; expected some of {known}", "for")
    wanted = set(kind.RECIPES[recipe])
    for name in kind.INPUTS.keys() & wanted:
        wanted.update(kind.INPUTS[name])
    return frozenset(wanted)


def components_of(features: Iterable[str], version: str) -> tuple[str, ...]:
    """The components that compute features, in the order in which they run."""
    networks = kind_named(version).NETWORKS
    wanted = {name for feature in features for name in networks.get(feature, ())}
    return tuple(name for name in _ORDER if name in wanted)


_ORDER = (
    "semantic_encoder",
    "semantic_codec",
    "ctc_head",
    "style_encoder",
    "conditioning",
    "gpt",
    "length_regulator",
    "dit",
)


def fingerprints(model: Model | None, components: Sequence[str]) -> dict[str, str]:
    """A hash of each component's parameters."""
    if model is None:
        return {}
    if model.provenance is None:
        return {name: hash_arrays(model.params[name]) for name in components}
    return {name: model.provenance.fingerprint([name]) for name in components}


def array_name(
    feature: str,
    config: ModelConfig,
    prints: Mapping[str, str],
    audio: str,
    **more: object,
) -> str:
    """The name of an array: its feature and a hash of everything that it is computed from.

    `audio` identifies the samples, `more` the other inputs (text tokens, a prompt).
    """
    made_by = [
        [name, prints[name], to_data(section_of(name, config))]
        for name in kind_of(config).NETWORKS.get(feature, ())
    ]
    mel = to_data(config.mel)
    return f"{feature}/{digest([VERSION, feature, audio, mel, made_by, sorted(more.items())])[:32]}"


class Signals(NamedTuple):
    """The network inputs of a clip, and its host features."""

    arrays: dict[str, np.ndarray]  # host features
    inputs: Float32[np.ndarray, "t c"] | None  # input of the semantic encoder
    mask: np.ndarray | None
    banks: Float32[np.ndarray, "f m"] | None


def host_features(
    wide: Float32[np.ndarray, " n"], config: ModelConfig, wanted: Iterable[str]
) -> Signals:
    """Host features of a clip's samples (at the mel's rate), and the network inputs.

    Raises:
        InputError: for a clip that is too short.
    """
    wanted, kind = set(wanted), kind_of(config)
    arrays: dict[str, np.ndarray] = {}
    if "samples" in wanted:
        arrays["samples"] = to_int16(wide)
    if "mel" in wanted:
        arrays["mel"] = log_mel(wide, config.mel).astype(np.float16)
    of_audio = {n for name in wanted - kind.INPUTS.keys() for n in kind.NETWORKS.get(name, ())}
    encoder = bool({"encoder_input", "encoder_mask"} & wanted) or "semantic_encoder" in of_audio
    style = "banks" in wanted or "style_encoder" in of_audio
    inputs = mask = banks = None
    if encoder or style:
        narrow = resample(wide, config.mel.sample_rate, ENCODER_RATE)
        if encoder:
            inputs, mask = semantic_features(narrow)
        if style:
            banks = centred(filter_bank(narrow))
    if inputs is not None and "encoder_input" in wanted:
        arrays["encoder_input"] = inputs.astype(np.float16)
    if mask is not None and "encoder_mask" in wanted:
        arrays["encoder_mask"] = mask.astype(np.uint8)
    if banks is not None and "banks" in wanted:
        arrays["banks"] = banks.astype(np.float16)
    return Signals(arrays, inputs, mask, banks)


def bank_frames(samples: int, rate: int) -> int:
    """The number of filter-bank frames of a clip, before any network runs."""
    return max(0, 1 + (resampled_length(samples, rate, ENCODER_RATE) - FRAME) // HOP)


def feature_count(samples: int, rate: int) -> int:
    """The number of semantic features of a clip, before any network runs."""
    return -(-bank_frames(samples, rate) // 2)


def network_features(
    model: Model, clips: Sequence[Signals], wanted: Iterable[str], rows: int
) -> list[dict[str, np.ndarray]]:
    """Network features of one batch, padded to `rows` clips of equal length."""
    wanted = set(wanted)
    results: list[dict[str, np.ndarray]] = [{} for _ in clips]

    def give(name: str, values: Any, lengths: Sequence[int] | None = None) -> None:
        values = np.asarray(values)
        dtype = FEATURES[name][0]
        for number, result in enumerate(results):
            value = values[number] if lengths is None else values[number, : lengths[number]]
            result[name] = np.ascontiguousarray(value).astype(dtype)

    kind = kind_of(model.config)
    networks = {network for name in wanted for network in kind.NETWORKS[name]}
    semantic = counts = style = None
    if "semantic_encoder" in networks:
        inputs = [clip.inputs for clip in clips if clip.inputs is not None]
        masks = [clip.mask.astype(bool) for clip in clips if clip.mask is not None]
        lengths = [len(array) for array in inputs]
        size = bucket(max(lengths), LADDER)
        counts = jnp.asarray(_filled(lengths, rows), jnp.int32)
        semantic = stages.semantic_features(
            model, _stack(inputs, rows, size), _stack(masks, rows, size)
        )
        if "semantic" in wanted:
            give("semantic", semantic, lengths)
        if "codes" in wanted:
            codes = stages.quantize(model, semantic, counts)[0]
            give("codes", codes, [kind.codes_of(length) for length in lengths])
        if "emotion" in wanted:
            give("emotion", stages.emotion_vector(model, semantic, counts))
    if "style_encoder" in networks:
        banks = [clip.banks for clip in clips if clip.banks is not None]
        lengths = [len(array) for array in banks]
        size = 2 * bucket(-(-max(lengths) // 2), LADDER)
        style = stages.style_vector(
            model, _stack(banks, rows, size), jnp.asarray(_filled(lengths, rows), jnp.int32)
        )
        if "style" in wanted:
            give("style", style)
    if "conditioning" in wanted:
        give("conditioning", kind.clip_latents(model, semantic, counts, style))
    return results


@dataclasses.dataclass(frozen=True)
class Coded:
    """The inputs of a clip's GPT latents."""

    conditioning: np.ndarray  # of the prompt: latents x width
    emotion: np.ndarray  # of the prompt
    text: np.ndarray
    codes: np.ndarray


def code_latents(model: Model, clips: Sequence[Coded], rows: int) -> list[np.ndarray]:
    """GPT latents of the clips' true codes, bfloat16 (codes x width), for one batch of `rows`."""
    texts, codes = [clip.text for clip in clips], [clip.codes for clip in clips]
    lengths = [len(array) for array in codes]
    text_size = bucket(max(map(len, texts)), model.buckets.text)
    size = bucket(max(lengths), within(LADDER, model.config.gpt.code_positions))
    latents = stages.code_latents(
        model,
        _stack([clip.conditioning.astype(np.float32) for clip in clips], rows),
        _stack([clip.emotion for clip in clips], rows),
        _stack([text.astype(np.int32) for text in texts], rows, text_size),
        jnp.asarray(_filled([len(text) for text in texts], rows), jnp.int32),
        _stack([array.astype(np.int32) for array in codes], rows, size),
        jnp.asarray(_filled(lengths, rows), jnp.int32),
    )
    host = np.asarray(latents)
    return [
        host[number, :length].astype(ml_dtypes.bfloat16) for number, length in enumerate(lengths)
    ]


def letter_logits(
    model: Model, codes: Sequence[np.ndarray], rows: int
) -> list[Float32[np.ndarray, "t v"]]:
    """CTC logits of the clips' codes, for one batch of `rows`."""
    lengths = [len(array) for array in codes]
    padded = _stack([array.astype(np.int32) for array in codes], rows, bucket(max(lengths), LADDER))
    counts = jnp.asarray(_filled(lengths, rows), jnp.int32)
    host = np.asarray(stages.spell(model, stages.embed_codes(model, padded), counts), np.float32)
    return [host[number, :length] for number, length in enumerate(lengths)]


def emotion_of(model: Model, recording: Recording) -> np.ndarray:
    """The emotion vector of a recording, computed as for an emotion prompt in `synth`.

    Raises:
        InputError: for an unusable recording.
    """
    signal = load_audio(recording.path, ENCODER_RATE, model.config.limits.prompt_seconds)
    return np.asarray(stages.emotion_vector(model, *analysis.semantic(model, signal)))[0]


def _filled(lengths: Sequence[int], rows: int) -> list[int]:
    """The lengths, padded to the batch by repeating the first."""
    return [*lengths, *[lengths[0]] * (rows - len(lengths))]


def _stack(arrays: Sequence[np.ndarray], rows: int, size: int | None = None) -> Any:
    """Arrays as one batch on the device, padded by repeating the first."""
    padded = arrays if size is None else [pad(array, size, axis=0) for array in arrays]
    return jnp.asarray(np.stack([*padded, *[padded[0]] * (rows - len(padded))]))
