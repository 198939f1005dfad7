"""The published `config.yaml`, read strictly, and the auxiliary models' own `config.json`.

Keys that we do not use are declared too, so that an undeclared key can be rejected as a typo or as
part of an unknown version.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from importers.formats.mapped import SourceError
from importers.formats.safetensors_header import unique
from indextts_jax.config import MelConfig
from indextts_jax.utils import strict_yaml
from indextts_jax.utils.strict_data import ConfigError, from_data

MAX_BYTES = 2**18  # of a configuration file; a published one has 4 kB


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DatasetMel:
    """The mel of an earlier version; unused."""

    sample_rate: int
    n_fft: int
    hop_length: int
    win_length: int
    n_mels: int
    mel_fmin: float
    normalize: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Dataset settings; only the tokenizer's file name is used."""

    bpe_model: str
    sample_rate: int
    squeeze: bool
    mel: DatasetMel


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConditionModule:
    """A conformer and its perceiver."""

    output_size: int
    linear_units: int
    attention_heads: int
    num_blocks: int
    input_layer: str
    perceiver_mult: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GPT:
    """The autoregressive model; version 2.5 ignores `condition_type` and `condition_module`."""

    model_dim: int
    max_mel_tokens: int
    max_text_tokens: int
    max_conditioning_inputs: int = 1  # not in the published file; the reference's default
    heads: int
    use_mel_codes_as_input: bool
    mel_length_compression: int
    layers: int
    number_text_tokens: int
    number_mel_codes: int
    start_mel_token: int
    stop_mel_token: int
    start_text_token: int
    stop_text_token: int
    train_solo_embeddings: bool
    condition_type: str
    condition_module: ConditionModule
    emo_condition_module: ConditionModule


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SemanticCodec:
    """The semantic codec."""

    codebook_size: int
    hidden_size: int
    codebook_dim: int
    vocos_dim: int
    vocos_intermediate_dim: int
    vocos_num_layers: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HalfRateCodec(SemanticCodec):
    """The semantic codec of version 2.5; no published file has the last two keys."""

    num_quantizers: int = 1
    downsample_scale: int = 2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Spectrogram:
    """The mel between flow and vocoder."""

    n_fft: int
    win_length: int
    hop_length: int
    n_mels: int
    fmin: float
    fmax: Any  # the string "None", or a number


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """The mel between flow and vocoder, and its sample rate."""

    sr: int
    spect_params: Spectrogram


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StyleEncoder:
    """The style vector."""

    dim: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LengthRegulator:
    """The length regulator."""

    channels: int
    is_discrete: bool
    in_channels: int
    content_codebook_size: int
    sampling_ratios: tuple[int, ...]
    vector_quantize: bool
    n_codebooks: int
    quantizer_dropout: float
    f0_condition: bool
    n_f0_bins: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DiT:
    """The velocity field's transformer."""

    hidden_dim: int
    num_heads: int
    depth: int
    class_dropout_prob: float
    block_size: int
    in_channels: int
    style_condition: bool
    final_layer_type: str
    target: str
    content_dim: int
    content_codebook_size: int
    content_type: str
    f0_condition: bool
    n_f0_bins: int
    content_codebooks: int
    is_causal: bool
    long_skip_connection: bool
    zero_prompt_speech_token: bool
    time_as_token: bool
    style_as_token: bool
    uvit_skip_connection: bool
    add_resblock_in_transformer: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WaveNet:
    """The velocity field's last layers."""

    hidden_dim: int
    num_layers: int
    kernel_size: int
    dilation_rate: int
    p_dropout: float
    style_condition: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class S2Mel:
    """From codes and latents to mel."""

    preprocess_params: Preprocess
    dit_type: str
    reg_loss_type: str
    style_encoder: StyleEncoder
    length_regulator: LengthRegulator
    DiT: DiT
    wavenet: WaveNet


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Vocoder:
    """The vocoder's repository; unused, because the file that was found decides."""

    type: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The whole of `config.yaml` by its own names, for version 2.0."""

    dataset: Dataset
    gpt: GPT
    semantic_codec: SemanticCodec
    s2mel: S2Mel
    gpt_checkpoint: str
    w2v_stat: str
    s2mel_checkpoint: str
    emo_matrix: str
    spk_matrix: str
    emo_num: tuple[int, ...]
    qwen_emo_path: str
    vocoder: Vocoder
    version: float | str  # not reliable: does not distinguish 2.0 from 2.5

    def mel(self) -> MelConfig:
        """The spectrogram in our own terms.

        Raises:
            ConfigError: for an upper limit that the reference would not use as written.
        """
        params = self.s2mel.preprocess_params.spect_params
        # Quirk of the reference: the string "None" means no limit, anything else means 8000 Hz.
        if params.fmax not in ("None", 8000):
            raise ConfigError(
                "s2mel.preprocess_params.spect_params.fmax must be the text None (half the sample "
                f"rate) or 8000, got {params.fmax!r:.80}"
            )
        return MelConfig(
            sample_rate=self.s2mel.preprocess_params.sr,
            n_fft=params.n_fft,
            window=params.win_length,
            hop=params.hop_length,
            mels=params.n_mels,
            fmin=params.fmin,
            fmax=None if params.fmax == "None" else float(params.fmax),
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Published25(Published):
    """The same for version 2.5, which ignores three keys: files come with and without them."""

    dataset: Any = None
    semantic_codec: HalfRateCodec
    vocoder: Any = None
    version: Any = None


SCHEMAS: dict[str, type[Published]] = {"2.0": Published, "2.5": Published25}


def read_text(path: Path) -> str:
    """The text of a small file.

    Raises:
        SourceError: if it is too large, or not UTF-8.
    """
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(f"{path}: {path.stat().st_size:,} bytes are too many for a settings file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text") from error


def read_yaml(path: Path) -> Any:
    """The data of `config.yaml`, of any version.

    Raises:
        SourceError: if it is not YAML, or empty.
    """
    try:
        data = strict_yaml.parse(read_text(path))
    except SourceError:
        raise
    except ValueError as error:
        raise SourceError(f"{path} is not valid YAML: {error!s:.300}") from error
    if data is None:
        raise SourceError(f"{path} is empty: expected the model's settings")
    return data


def read_published(
    path: Path, ignore: Sequence[str] = (), version: str = "2.0"
) -> tuple[Published, tuple[str, ...]]:
    """The published configuration, and which of the names in `ignore` were keys of it.

    Raises:
        SourceError: if it is not a YAML mapping.
        ConfigError: naming the path of every key that is unknown, missing or ill-typed.
    """
    data = read_yaml(path)
    passed = tuple(name for name in ignore if _remove(data, name))
    try:
        return from_data(SCHEMAS[version], data), passed
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _remove(data: Any, name: str) -> bool:
    """Removes a dotted key from nested data; returns whether it was present."""
    *parents, last = name.split(".")
    for key in parents:
        data = data.get(key) if isinstance(data, Mapping) else None
    return isinstance(data, dict) and data.pop(last, data) is not data


def read_settings(
    path: Path, prefix: str = "", ignore: Sequence[str] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A model's own `config.json`, and which of the names in `ignore` were its prefixed keys.

    Raises:
        SourceError: if it is not a JSON mapping, or has a key twice.
    """
    text = read_text(path)
    if not text.strip():
        raise SourceError(f"{path} is empty: expected the model's settings")
    try:
        data = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path} is not valid JSON: {error!s:.120}") from error
    if not isinstance(data, dict):
        raise SourceError(f"{path}: expected a mapping, got {type(data).__name__}")
    if not data:
        raise SourceError(f"{path} is empty: expected the model's settings")
    passed = tuple(
        name for name in ignore if name.startswith(prefix) and _remove(data, name[len(prefix) :])
    )
    return data, passed
