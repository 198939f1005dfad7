"""The sections of a model's configuration: the sizes of each component.

Sizes have no defaults. Two versions of a component have two sections; the network of a component is
that of its section (`models/components.py`).
"""

import dataclasses
from typing import Any

from indextts_jax.utils.strict_data import ConfigError


def positive(owner: str, config: Any, *names: str) -> None:
    """Raises `ConfigError` for a number that is not positive."""
    for name in names:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number <= 0:
                raise ConfigError(f"{owner}.{name} must be positive, got {value}")


def divides(owner: str, whole: str, part: str, config: Any) -> None:
    """Raises `ConfigError` for a size that is not a multiple of another."""
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
        positive("mel", self, "sample_rate", "n_fft", "window", "hop", "mels")
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
        positive("semantic_encoder", self, "features", "width", "layers", "heads", "feed_forward")
        divides("semantic_encoder", "width", "heads", self)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SemanticCodecConfig:
    """The semantic codec's encoder and quantiser (2.0): a code for each frame of features."""

    width: int  # of the semantic features
    hidden: int  # of the ConvNeXt blocks
    feed_forward: int
    layers: int
    kernel: int  # of the depthwise convolutions, frames
    codes: int  # rows of the codebook
    code_width: int

    def __post_init__(self) -> None:
        positive("semantic_codec", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HalfRateCodecConfig(SemanticCodecConfig):
    """The semantic codec of 2.5: encoder, quantiser and decoder; a code for several frames."""

    features_per_code: int  # frames of semantic features for each code
    resampling_kernel: int  # of the convolutions that change the rate, frames

    def __post_init__(self) -> None:
        SemanticCodecConfig.__post_init__(self)  # `super()` does not know a class with slots
        if self.resampling_kernel % 2 == 0:
            raise ConfigError(
                f"semantic_codec.resampling_kernel {self.resampling_kernel} must be odd"
            )


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
        positive("style_encoder", self, *(f.name for f in dataclasses.fields(self)))
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
        positive("conformer", self, *(f.name for f in dataclasses.fields(self)))
        divides("conformer", "width", "heads", self)
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
        positive("perceiver", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConditioningConfig:
    """Semantic features to conditioning latents and to an emotion vector (2.0)."""

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
        _check_emotion_latents(self.emotion_perceiver)
        for name in ("speaker", "emotion"):
            _check_context(
                name, getattr(self, f"{name}_encoder"), getattr(self, f"{name}_perceiver")
            )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StyleConditioningConfig:
    """A style vector to one conditioning row, semantic features to an emotion vector (2.5)."""

    width: int  # of the GPT
    style: int  # numbers in the style vector
    emotion_encoder: ConformerConfig
    emotion_perceiver: PerceiverConfig

    def __post_init__(self) -> None:
        positive("conditioning", self, "width", "style")
        _check_emotion_latents(self.emotion_perceiver)
        _check_context("emotion", self.emotion_encoder, self.emotion_perceiver)


def _check_emotion_latents(perceiver: PerceiverConfig) -> None:
    if perceiver.latents != 1:
        raise ConfigError(
            f"conditioning.emotion_perceiver.latents must be 1, got {perceiver.latents}"
        )


def _check_context(name: str, encoder: ConformerConfig, perceiver: PerceiverConfig) -> None:
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
        positive("emotion_prototypes", self, *(f.name for f in dataclasses.fields(self)))


class _GPTSizes:
    """What the sections of both versions have in common."""

    __slots__ = ()

    width: int
    layers: int
    heads: int
    text_positions: int
    code_positions: int

    @property
    def max_text_tokens(self) -> int:
        """Text tokens in a segment, without start and stop."""
        return self.text_positions - 2

    @property
    def max_codes(self) -> int:
        """Codes in a segment that both cached decoding and the latent pass can hold."""
        return self.code_positions - 2

    def check(self) -> None:
        """Raises `ConfigError` for sizes that no model can have."""
        positive("gpt", self, "width", "layers", "heads", "feed_forward", "text_vocabulary")
        positive("gpt", self, "text_positions", "code_positions")
        divides("gpt", "width", "heads", self)
        for kind in ("text", "code"):
            rows = getattr(self, f"{kind}_vocabulary")
            for name in (f"start_{kind}", f"stop_{kind}"):
                if not 0 <= getattr(self, name) < rows:
                    raise ConfigError(
                        f"gpt.{name} {getattr(self, name)} is not below gpt.{kind}_vocabulary "
                        f"{rows}"
                    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GPTConfig(_GPTSizes):
    """The autoregressive model from text tokens to codes (2.0)."""

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
        self.check()
        if self.speed_rows < 2:
            raise ConfigError(f"gpt.speed_rows must be 2 or more, got {self.speed_rows}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LanguageGPTConfig(_GPTSizes):
    """The autoregressive model of 2.5, whose text rows say their language."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    text_vocabulary: int  # rows of the text embedding
    text_positions: int
    languages: int  # rows of the language embedding
    code_vocabulary: int  # codes, start and stop
    code_positions: int
    conditioning_latents: int
    start_text: int
    stop_text: int
    start_code: int
    stop_code: int

    def __post_init__(self) -> None:
        self.check()
        positive("gpt", self, "languages", "conditioning_latents")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LengthRegulatorConfig:
    """Sequence at code rate to condition at frame rate; the projection of latents (2.0)."""

    latents: int  # width of the GPT's latents
    projection: tuple[int, ...]  # inner widths of the latent projection
    features: int  # width of the semantic features
    width: int
    layers: int
    kernel: int

    def __post_init__(self) -> None:
        positive("length_regulator", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FeatureRegulatorConfig:
    """Semantic features to condition at frame rate (2.5): the GPT's latents have no part in it."""

    features: int  # width of the semantic features
    width: int
    layers: int
    kernel: int

    def __post_init__(self) -> None:
        positive("length_regulator", self, *(f.name for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WaveNetConfig:
    """The WaveNet head of the velocity field."""

    layers: int
    kernel: int
    dilation: int  # frames; layer j has this to the power j

    def __post_init__(self) -> None:
        positive("dit.wavenet", self, *(f.name for f in dataclasses.fields(self)))
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
        positive("dit", self, "width", "layers", "heads", "feed_forward", "mels", "condition")
        divides("dit", "width", "heads", self)
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
        positive("vocoder", self, "mels", "channels", "rates", "kernels", "block_kernels")
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
        positive("text_emotion", self, *names)
        divides("text_emotion", "heads", "key_heads", self)
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
