"""The fields of a speech request, OpenAI's and ours, and what is refused about them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Finite = Field(default=None, allow_inf_nan=False)


class Fields(BaseModel):
    """The base of all: types are not converted, unknown fields are refused later, by name."""

    model_config = ConfigDict(strict=True, extra="allow")


class Strict(BaseModel):
    """Fields within others, where an unknown one is an error at once."""

    model_config = ConfigDict(strict=True, extra="forbid")


class VoiceId(Strict):
    """A voice by its id, the other form that OpenAI's API has."""

    id: str


class EmotionFields(Strict):
    """An emotion: one of `text`, `weights` and `recording`, and its strength."""

    text: str | None = Field(default=None, description="Words to read the emotion from.")
    weights: list[float] | dict[str, float] | None = Field(
        default=None, description="Eight weights, or some by name."
    )
    recording: str | None = Field(default=None, description="The id of a voice: its own emotion.")
    alpha: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)


class ChunkFields(Strict):
    """How speech is cut into chunks."""

    first: int | None = Field(default=None, description="Codes of the first chunk.")
    seams: Literal["exact", "fast"] | None = None


class Delivery(Fields):
    """What a request may say besides its text: the common fields of all ways to speak."""

    model: str = "indextts-2"
    voice: str | VoiceId | None = None
    instructions: str | None = Field(default=None, description="Words to read the emotion from.")
    response_format: Name = "mp3"
    speed: float = Field(default=1.0, ge=0.25, le=4.0, allow_inf_nan=False)
    language: str | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    emotion: EmotionFields | None = None
    temperature: float | None = Field(default=None, gt=0, le=100, allow_inf_nan=False)
    top_k: int | None = Field(default=None, ge=0, lt=2**31)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    repetition_penalty: float | None = Field(default=None, gt=0, le=1e6, allow_inf_nan=False)
    sample_rate: int | None = Field(default=None, ge=8_000, le=48_000)
    word_timestamps: bool = False
    chunk: ChunkFields | None = None
    glossary: dict[str, str | dict[str, str]] | None = None
    pause: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)


class SpeechFields(Delivery):
    """The body of `POST /v1/audio/speech`."""

    input: str
    stream_format: Literal["audio", "sse"] = "audio"


class BatchItem(Fields):
    """One text of a batch, with what differs from the common fields."""

    input: str


class BatchFields(Delivery):
    """The body of `POST /v1/audio/speech/batch`."""

    items: list[BatchItem] = Field(min_length=1)
    response_format: Name = "wav"


class PreviewFields(Fields):
    """The body of `POST /v1/preview`."""

    input: str
    language: str | None = None
    glossary: dict[str, str | dict[str, str]] | None = None
    pause: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)


def unknown_fields(fields: BaseModel) -> list[str]:
    """The names of fields that were given and do not exist."""
    extra: dict[str, Any] = fields.model_extra or {}
    return sorted(extra)
