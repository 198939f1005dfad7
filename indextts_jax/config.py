"""Sizes and settings of the model: frozen dataclasses, read strictly from YAML or JSON data.

Sizes have no defaults: the file must give all of them. An unknown, missing or ill-typed key raises
an error that names its path.
"""

import dataclasses
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError
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


def _positive(owner: str, config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number <= 0:
                raise ConfigError(f"{owner}.{name} must be positive, got {value}")


def _divides(owner: str, whole: str, part: str, config: Any) -> None:
    if getattr(config, whole) % getattr(config, part):
        raise ConfigError(
            f"{owner}.{whole} {getattr(config, whole)} is not a multiple of "
            f"{owner}.{part} {getattr(config, part)}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MelConfig:
    """The log-mel spectrogram that the flow produces and the vocoder reads."""

    sample_rate: int  # Hz
    n_fft: int  # samples
    window: int  # samples
    hop: int  # samples
    mels: int
    fmin: float  # Hz
    fmax: float | None  # Hz; None: half the sample rate

    def __post_init__(self) -> None:
        _positive("mel", self, "sample_rate", "n_fft", "window", "hop", "mels")
        if self.window > self.n_fft:
            raise ConfigError(f"mel.window {self.window} is longer than mel.n_fft {self.n_fft}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SemanticEncoderConfig:
    """Wav2Vec2-BERT up to the layer that is used."""

    features: int  # numbers in a pair of filter-bank frames
    width: int
    layers: int  # layers that run: the semantic features are the output of the last of them
    heads: int
    feed_forward: int
    kernel: int  # depthwise convolution, frames
    left: int  # key positions farther to the left share one distance embedding
    right: int  # the same to the right
    norm_eps: float

    def __post_init__(self) -> None:
        _positive("semantic_encoder", self, "features", "width", "layers", "heads", "feed_forward")
        _divides("semantic_encoder", "width", "heads", self)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SemanticCodecConfig:
    """The semantic codec's encoder and quantiser."""

    width: int  # of the semantic features
    hidden: int  # of the ConvNeXt blocks
    feed_forward: int
    layers: int
    kernel: int  # of the depthwise convolutions, frames
    codes: int  # rows of the codebook
    code_width: int

    def __post_init__(self) -> None:
        _positive("semantic_codec", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StyleEncoderConfig:
    """CAMPPlus: filter banks to one style vector."""

    mels: int
    head_width: int  # channels of the two-dimensional head
    width: int  # channels into the first dense block
    growth: int  # channels that a dense layer adds
    bottleneck: int
    mask_width: int  # hidden channels of the context mask
    layers: tuple[int, ...]  # dense layers, block by block
    dilations: tuple[int, ...]  # of each block, frames
    kernel: int  # of the dense layers, frames
    segment: int  # frames averaged for the context mask
    style: int  # numbers in the style vector

    def __post_init__(self) -> None:
        _positive("style_encoder", self, *(f.name for f in dataclasses.fields(self)))
        if len(self.layers) != len(self.dilations):
            raise ConfigError(
                f"style_encoder.layers has {len(self.layers)} blocks, "
                f"style_encoder.dilations {len(self.dilations)}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConformerConfig:
    """A conformer over semantic features."""

    features: int  # width of the semantic features
    width: int
    layers: int
    heads: int
    feed_forward: int
    kernel: int  # depthwise convolution, frames
    positions: int  # rows of the stored position table

    def __post_init__(self) -> None:
        _positive("conformer", self, *(f.name for f in dataclasses.fields(self)))
        _divides("conformer", "width", "heads", self)
        if self.kernel % 2 == 0:
            raise ConfigError(f"conformer.kernel {self.kernel} must be odd")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PerceiverConfig:
    """A perceiver resampler: any number of frames to a fixed number of latents."""

    context: int  # width of the conformer's output
    width: int
    latents: int
    layers: int
    heads: int
    head_width: int
    feed_forward: int  # inner width, after gating

    def __post_init__(self) -> None:
        _positive("perceiver", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConditioningConfig:
    """Semantic features to conditioning latents and to an emotion vector."""

    width: int  # of the GPT
    speaker_encoder: ConformerConfig
    speaker_perceiver: PerceiverConfig
    emotion_encoder: ConformerConfig
    emotion_perceiver: PerceiverConfig

    def __post_init__(self) -> None:
        if self.speaker_perceiver.width != self.width:
            raise ConfigError(
                f"conditioning.speaker_perceiver.width {self.speaker_perceiver.width} is not "
                f"conditioning.width {self.width}"
            )
        if self.emotion_perceiver.latents != 1:
            raise ConfigError(
                f"conditioning.emotion_perceiver.latents must be 1, got "
                f"{self.emotion_perceiver.latents}"
            )
        for name in ("speaker", "emotion"):
            encoder, perceiver = (
                getattr(self, f"{name}_encoder"),
                getattr(self, f"{name}_perceiver"),
            )
            if perceiver.context != encoder.width:
                raise ConfigError(
                    f"conditioning.{name}_perceiver.context {perceiver.context} is not "
                    f"conditioning.{name}_encoder.width {encoder.width}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EmotionPrototypesConfig:
    """Stored emotion vectors, one group per emotion, chosen by style vector."""

    groups: tuple[int, ...]  # rows of each emotion
    style: int
    width: int  # of the GPT

    def __post_init__(self) -> None:
        _positive("emotion_prototypes", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GPTConfig:
    """The autoregressive model from text tokens to codes."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    text_vocabulary: int  # rows of the text embedding
    text_positions: int
    code_vocabulary: int  # codes, start and stop
    code_positions: int
    conditioning_latents: int
    speed_rows: int
    start_text: int
    stop_text: int
    start_code: int
    stop_code: int

    def __post_init__(self) -> None:
        _positive("gpt", self, "width", "layers", "heads", "feed_forward", "text_vocabulary")
        _positive("gpt", self, "text_positions", "code_positions")
        _divides("gpt", "width", "heads", self)
        if self.speed_rows < 2:
            raise ConfigError(f"gpt.speed_rows must be 2 or more, got {self.speed_rows}")
        for kind in ("text", "code"):
            rows = getattr(self, f"{kind}_vocabulary")
            for name in (f"start_{kind}", f"stop_{kind}"):
                if not 0 <= getattr(self, name) < rows:
                    raise ConfigError(
                        f"gpt.{name} {getattr(self, name)} is not below gpt.{kind}_vocabulary "
                        f"{rows}"
                    )

    @property
    def max_text_tokens(self) -> int:
        """Text tokens in a segment, without start and stop."""
        return self.text_positions - 2

    @property
    def max_codes(self) -> int:
        """Codes in a segment that both cached decoding and the latent pass can hold."""
        return self.code_positions - 2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LengthRegulatorConfig:
    """Sequence at code rate to condition at frame rate; the projection of latents before it."""

    latents: int  # width of the GPT's latents
    projection: tuple[int, ...]  # inner widths of the latent projection
    features: int  # width of the semantic features
    width: int
    layers: int
    kernel: int

    def __post_init__(self) -> None:
        _positive("length_regulator", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WaveNetConfig:
    """The WaveNet head of the velocity field."""

    layers: int
    kernel: int
    dilation: int  # frames; layer j has this to the power j

    def __post_init__(self) -> None:
        _positive("dit.wavenet", self, *(f.name for f in dataclasses.fields(self)))
        if self.kernel % 2 == 0:
            raise ConfigError(f"dit.wavenet.kernel {self.kernel} must be odd")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DiTConfig:
    """The velocity field of the flow."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    mels: int
    condition: int  # width of the length regulator's output
    style: int
    frequencies: int  # of the time embedding
    wavenet: WaveNetConfig

    def __post_init__(self) -> None:
        _positive("dit", self, "width", "layers", "heads", "feed_forward", "mels", "condition")
        _divides("dit", "width", "heads", self)
        if self.width // self.heads % 2:
            raise ConfigError(f"dit: head width {self.width // self.heads} must be even")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VocoderConfig:
    """BigVGAN v2: mel to waveform."""

    mels: int
    channels: int  # before the first upsampling
    rates: tuple[int, ...]
    kernels: tuple[int, ...]  # of the upsampling convolutions
    block_kernels: tuple[int, ...]
    block_dilations: tuple[tuple[int, ...], ...]
    outer_kernel: int  # of the first and last convolution
    log_scale: bool  # whether the activations' parameters are stored as logarithms

    def __post_init__(self) -> None:
        _positive("vocoder", self, "mels", "channels", "rates", "kernels", "block_kernels")
        for dilations in self.block_dilations:
            if not dilations or min(dilations) < 1:
                raise ConfigError(f"vocoder.block_dilations must be positive, got {dilations}")
        if self.outer_kernel < 1 or not self.block_kernels:
            raise ConfigError("vocoder.outer_kernel and vocoder.block_kernels must not be empty")
        if len(self.rates) != len(self.kernels):
            raise ConfigError("vocoder.rates and vocoder.kernels differ in length")
        if len(self.block_kernels) != len(self.block_dilations):
            raise ConfigError("vocoder.block_kernels and vocoder.block_dilations differ in length")
        if self.channels >> len(self.rates) < 1:  # integer halving rounds down
            raise ConfigError(
                f"vocoder.channels {self.channels} cannot be halved {len(self.rates)} times"
            )
        for rate, kernel in zip(self.rates, self.kernels, strict=True):
            if kernel < rate or (kernel - rate) % 2:
                raise ConfigError(
                    f"vocoder.kernels: {kernel} must be its rate {rate} or an even number more"
                )
        if any(kernel % 2 == 0 for kernel in (*self.block_kernels, self.outer_kernel)):
            raise ConfigError(
                f"vocoder.block_kernels {self.block_kernels} and vocoder.outer_kernel "
                f"{self.outer_kernel} must be odd"
            )

    @property
    def hop(self) -> int:
        """Samples for a mel frame."""
        hop = 1
        for rate in self.rates:
            hop *= rate
        return hop


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TextEmotionConfig:
    """Qwen3: a text to a reply that names its emotions."""

    vocabulary: int  # rows of the embedding, which is also the output head
    width: int
    layers: int
    heads: int
    key_heads: int  # heads of keys and values, each shared by as many heads of queries
    head_width: int
    feed_forward: int
    positions: int  # tokens of prompt and reply together
    norm_eps: float
    rotary_base: float
    stops: tuple[int, ...]  # tokens that end a reply
    reply_tokens: int  # of the longest reply
    buckets: tuple[int, ...]  # padded lengths of a prompt; beyond the last, its multiples

    def __post_init__(self) -> None:
        names = [f.name for f in dataclasses.fields(self) if f.name != "stops"]
        _positive("text_emotion", self, *names)
        _divides("text_emotion", "heads", "key_heads", self)
        if self.head_width % 2:
            raise ConfigError(f"text_emotion.head_width {self.head_width} must be even")
        if not self.stops or not all(0 <= stop < self.vocabulary for stop in self.stops):
            raise ConfigError(
                f"text_emotion.stops {self.stops} must be tokens below text_emotion.vocabulary "
                f"{self.vocabulary}"
            )
        if self.reply_tokens >= self.positions:
            raise ConfigError(
                f"text_emotion.reply_tokens {self.reply_tokens} leaves no positions for a prompt "
                f"in text_emotion.positions {self.positions}"
            )
        if not self.buckets or list(self.buckets) != sorted(set(self.buckets)):
            raise ConfigError(f"text_emotion.buckets must ascend, got {self.buckets}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LimitsConfig:
    """Limits of the release. A shorter position table lowers the limit to its length."""

    prompt_seconds: float  # of a recording; the rest is not used
    segment_tokens: int  # text tokens in a segment
    segment_codes: int  # new codes in a segment

    def __post_init__(self) -> None:
        _positive("limits", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A model's version, rates and sizes. `RunConfig` says how it is run."""

    version: str  # of IndexTTS
    codes_per_second: int
    frames_per_code: float  # mel frames
    limits: LimitsConfig
    mel: MelConfig
    semantic_encoder: SemanticEncoderConfig
    semantic_codec: SemanticCodecConfig
    style_encoder: StyleEncoderConfig
    conditioning: ConditioningConfig
    emotion_prototypes: EmotionPrototypesConfig
    gpt: GPTConfig
    length_regulator: LengthRegulatorConfig
    dit: DiTConfig
    vocoder: VocoderConfig
    text_emotion: TextEmotionConfig | None = None  # a model may come without it

    def __post_init__(self) -> None:
        """Checks that neighbouring components fit together, and names both sides if not."""
        semantic = "semantic_encoder.width"
        pairs = [
            (semantic, "semantic_codec.width"),
            (semantic, "conditioning.speaker_encoder.features"),
            (semantic, "conditioning.emotion_encoder.features"),
            (semantic, "length_regulator.features"),
            ("gpt.width", "conditioning.width"),
            ("gpt.width", "emotion_prototypes.width"),
            ("gpt.width", "length_regulator.latents"),
            ("gpt.conditioning_latents", "conditioning.speaker_perceiver.latents"),
            ("length_regulator.width", "dit.condition"),
            ("style_encoder.style", "dit.style"),
            ("style_encoder.style", "emotion_prototypes.style"),
            ("mel.mels", "dit.mels"),
            ("mel.mels", "vocoder.mels"),
            ("mel.hop", "vocoder.hop"),
        ]
        problems = [
            f"{left} is {a}, but {right} is {b}: they must agree"
            for left, right in pairs
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
    `fused_attention`, attention in decoding and in the flow uses kernels for NVIDIA GPUs.
    """

    dtype: str | None = None
    fused_attention: bool = False
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
                return f"{name} is {value:.10g}: expected at most {most:,}"
    return None


def bundled_config(name: str) -> ModelConfig:
    """The configuration `name` bundled with the package: `indextts2` or `tiny`."""
    package = Path(__file__).parent
    inside = package / "configs"  # in a wheel; a source tree has it beside the package
    return load_config((inside if inside.is_dir() else package.parent / "configs") / f"{name}.yaml")
