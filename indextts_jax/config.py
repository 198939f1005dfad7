"""Sizes and settings of the model: frozen dataclasses, read strictly from YAML or JSON data.

Sizes have no defaults: the file must give all of them. An unknown, missing or ill-typed key raises
an error that names its path.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError
from indextts_jax.sections.components import (
    ConditioningConfig,
    DiTConfig,
    EmotionPrototypesConfig,
    FeatureRegulatorConfig,
    GPTConfig,
    HalfRateCodecConfig,
    LanguageGPTConfig,
    LengthRegulatorConfig,
    MelConfig,
    SemanticCodecConfig,
    SemanticEncoderConfig,
    StyleConditioningConfig,
    StyleEncoderConfig,
    TextEmotionConfig,
    VocoderConfig,
    positive,
)
from indextts_jax.sections.components import ConformerConfig as ConformerConfig
from indextts_jax.sections.components import PerceiverConfig as PerceiverConfig
from indextts_jax.sections.components import WaveNetConfig as WaveNetConfig
from indextts_jax.utils import strict_yaml
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

DTYPES = ("float32", "bfloat16", "float16")
INT8 = "int8"  # GPT kernels in 8 bits, everything else in half precision
COMPUTE_DTYPES = (*DTYPES, INT8)

LOW_PRECISION = ("gpt", "length_regulator", "dit", "vocoder", "text_emotion")
"""Components that may compute in a dtype other than float32."""

# Bucket sizes in mel frames. Small steps limit padding: in SPANS (prompt and segment together) to
# 1/16 from 512 frames on, in FRAMES (one of the two) to 1/7 up to 2,048 frames.
_SHORT = (*range(128, 512, 64), *range(512, 768, 32))
FRAMES = (
    *_SHORT,
    *range(768, 1024, 64),
    *range(1024, 1536, 128),
    *range(1536, 2048, 256),
    *range(2048, 4097, 512),
)
SPANS = (*_SHORT, *range(768, 2048, 64), *range(2048, 3072, 128), *range(3072, 4097, 256))

PROMPT_SECONDS = 15.0  # used of a prompt recording, in every release so far

# The order of the eight emotion weights, everywhere.
EMOTIONS = (
    "happy",
    "angry",
    "sad",
    "afraid",
    "disgusted",
    "melancholic",
    "surprised",
    "calm",
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LimitsConfig:
    """Limits of the release. A shorter position table lowers the limit to its length."""

    prompt_seconds: float  # of a recording; the rest is not used
    segment_tokens: int  # text tokens in a segment
    segment_codes: int  # new codes in a segment

    def __post_init__(self) -> None:
        positive("limits", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What a version of IndexTTS is made of."""

    name: str
    sections: Mapping[str, type]  # of the components that differ between versions
    agree: tuple[tuple[str, str], ...]  # sizes of neighbouring components, besides `AGREE`
    tokenizer: str  # its file in a checkpoint


_SEMANTIC = "semantic_encoder.width"
AGREE = (
    (_SEMANTIC, "semantic_codec.width"),
    (_SEMANTIC, "conditioning.emotion_encoder.features"),
    (_SEMANTIC, "length_regulator.features"),
    ("gpt.width", "conditioning.width"),
    ("gpt.width", "emotion_prototypes.width"),
    ("length_regulator.width", "dit.condition"),
    ("style_encoder.style", "dit.style"),
    ("style_encoder.style", "emotion_prototypes.style"),
    ("mel.mels", "dit.mels"),
    ("mel.mels", "vocoder.mels"),
    ("mel.hop", "vocoder.hop"),
)
RELEASES: dict[str, Release] = {
    "2.0": Release(
        name="IndexTTS-2",
        sections={
            "semantic_codec": SemanticCodecConfig,
            "conditioning": ConditioningConfig,
            "gpt": GPTConfig,
            "length_regulator": LengthRegulatorConfig,
        },
        agree=(
            (_SEMANTIC, "conditioning.speaker_encoder.features"),
            ("gpt.width", "length_regulator.latents"),
            ("gpt.conditioning_latents", "conditioning.speaker_perceiver.latents"),
        ),
        tokenizer="tokenizer.model",
    ),
    "2.5": Release(
        name="IndexTTS-2.5",
        sections={
            "semantic_codec": HalfRateCodecConfig,
            "conditioning": StyleConditioningConfig,
            "gpt": LanguageGPTConfig,
            "length_regulator": FeatureRegulatorConfig,
        },
        agree=(("style_encoder.style", "conditioning.style"),),
        tokenizer="tokenizer.tiktoken",
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A model's version, rates and sizes. `RunConfig` says how it is run."""

    version: str  # of IndexTTS
    codes_per_second: int
    frames_per_code: float  # mel frames
    limits: LimitsConfig
    mel: MelConfig
    semantic_encoder: SemanticEncoderConfig
    semantic_codec: SemanticCodecConfig | HalfRateCodecConfig
    style_encoder: StyleEncoderConfig
    conditioning: ConditioningConfig | StyleConditioningConfig
    emotion_prototypes: EmotionPrototypesConfig
    gpt: GPTConfig | LanguageGPTConfig
    length_regulator: LengthRegulatorConfig | FeatureRegulatorConfig
    dit: DiTConfig
    vocoder: VocoderConfig
    text_emotion: TextEmotionConfig | None = None  # a model may come without it

    @staticmethod
    def field_types(data: Mapping[Any, Any]) -> Mapping[str, type]:
        """The types of the sections that differ between versions, for a configuration's data."""
        release = RELEASES.get(str(data.get("version")))
        return {} if release is None else release.sections

    def __post_init__(self) -> None:
        """Checks the sections, and that neighbouring components fit together."""
        if self.version not in RELEASES:
            known = " or ".join(RELEASES)
            raise ConfigError(f"version must be {known}, got {self.version!r:.40}")
        release = RELEASES[self.version]
        foreign = [
            f"{name} is not that of {release.name}"
            for name, section in release.sections.items()
            if type(getattr(self, name)) is not section
        ]
        if foreign:
            raise ConfigError("; ".join(foreign))
        problems = [
            f"{left} is {a}, but {right} is {b}: they must agree"
            for left, right in (*AGREE, *release.agree)
            if (a := _lookup(self, left)) != (b := _lookup(self, right))
        ]
        marks = {self.gpt.start_code, self.gpt.stop_code}
        downwards = range(
            self.gpt.code_vocabulary - 1, -1, -1
        )  # lazily: a damaged config may give a huge vocabulary
        last = next((code for code in downwards if code not in marks), 0)
        if last >= self.semantic_codec.codes:
            problems.append(
                f"gpt.code_vocabulary holds the code {last}, but semantic_codec.codes is only "
                f"{self.semantic_codec.codes}"
            )
        groups = len(self.emotion_prototypes.groups)
        if groups != len(EMOTIONS):
            problems.append(
                f"emotion_prototypes.groups has {groups} groups, expected {len(EMOTIONS)}, one per "
                "emotion"
            )
        if problems:
            raise ConfigError("; ".join(problems))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BucketConfig:
    """Padded lengths, so that a new sentence rarely compiles; beyond the last, its multiples."""

    text: tuple[int, ...] = (32, 64, 128, 256, 384, 512)  # text tokens of a segment
    features: tuple[int, ...] = (128, 256, 384, 512, 640, 768)  # semantic features of a prompt
    codes: tuple[int, ...] = (64, 128, 256, 512, 1024, 1536)  # of a segment, in the latent pass
    frames: tuple[int, ...] = FRAMES  # mel frames of a prompt, or of a segment
    spans: tuple[int, ...] = SPANS  # mel frames of prompt and segment; empty: as `frames`

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            sizes = getattr(self, field.name)
            if not sizes and field.name == "spans":
                continue
            if not sizes or list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
                raise ConfigError(f"buckets.{field.name} must ascend from 1 or more, got {sizes}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """How a model is run: precision, kernels and padded lengths.

    The stages after the analysis of the prompt compute in `dtype` (None: float32). The prompt
    encoders stay in float32: they run once per prompt, and small errors there change the codes.
    With int8 the GPT kernels have 8 bits and everything else runs in bfloat16. With
    `fused_attention`, attention in decoding and in the flow uses kernels for NVIDIA GPUs; with None
    in the flow, where the device supports it. With `deterministic`, XLA for GPUs does not choose
    kernels by timing them, so that programs give the same results when they are compiled again.
    """

    dtype: str | None = None
    fused_attention: bool | None = None
    deterministic: bool = False
    buckets: BucketConfig = BucketConfig()

    def __post_init__(self) -> None:
        if self.dtype not in (None, *COMPUTE_DTYPES):
            raise InputError(
                f"dtype must be one of {', '.join(COMPUTE_DTYPES)}, got {self.dtype!r:.80}", "dtype"
            )

    def compute_dtype(self, component: str) -> str:
        """The dtype in which a component computes."""
        if self.dtype is None or component not in LOW_PRECISION:
            return "float32"
        return "bfloat16" if self.dtype == INT8 and component != "gpt" else self.dtype


def _lookup(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def load_config(path: str | Path) -> ModelConfig:
    """Reads the configuration from a YAML file in our own schema (see `configs/`)."""
    try:
        data = strict_yaml.parse(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error!s:.300}") from error
    try:
        config = from_data(ModelConfig, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if (problem := _too_large(to_data(config))) is not None:
        raise ConfigError(f"{path}: {problem}")
    return config


MOST_LAYERS, MOST = 4096, 2**24  # of a stack; of any other size


def _too_large(data: Any, path: str = "") -> str | None:
    """A size that no model has, from which nothing should be built."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict | list):
            if (problem := _too_large(value, name)) is not None:
                return problem
        elif isinstance(value, int | float):
            most = MOST_LAYERS if "layers" in name.split(".") else MOST
            if abs(value) > most:
                shown = f"{value:.10g}" if abs(value) < 1e300 else "beyond 1e300"
                return f"{name} is {shown}: expected at most {most:,}"
    return None


def bundled_config(name: str) -> ModelConfig:
    """The configuration `name` bundled with the package: `indextts2`, `indextts2_5`, ..."""
    package = Path(__file__).parent
    inside = package / "configs"  # in a wheel; a source tree has it beside the package
    return load_config((inside if inside.is_dir() else package.parent / "configs") / f"{name}.yaml")
