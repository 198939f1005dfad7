"""How to speak: the settings of a request, and a model's limits on them."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from indextts_jax.engine.pace import Timing
from indextts_jax.engine.streaming.chunks import Chunks
from indextts_jax.errors import InputError
from indextts_jax.runtime.model import Model
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.text.frontend import TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils import strict_yaml
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

PAUSE = 0.2  # seconds of silence between segments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How to speak; the defaults are the reference's."""

    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    max_codes: int | None = None  # new codes in a segment; None: the model's limit
    segment_tokens: int | None = None  # text tokens in a segment; None: the model's limit
    steps: int = 25  # of the flow
    guidance: float = 0.7  # of the flow, 0 for none
    pause: float = PAUSE  # seconds
    quick_tokens: int = 0  # segments that begin before this many text tokens are half as long
    text_compat: bool = False  # normalize as the reference does, errors included
    glossary: Glossary | None = None  # readings of terms
    strict_text: bool = False  # reject a text with pieces that the tokenizer does not know
    timing: Timing = dataclasses.field(default_factory=Timing)
    retries: int = 0  # for a segment with faults, each with the next seed
    batch: int = 1  # segments spoken at once, at most
    chunks: Chunks | None = None  # how `stream` cuts segments; None: it yields whole ones

    def __post_init__(self) -> None:
        usual = SamplingConfig()
        own = (self.sampling.max_codes, self.sampling.start_code)
        if own != (usual.max_codes, usual.start_code):
            raise InputError("max_codes and start_code cannot be set in Settings.sampling")
        if self.steps < 1:
            raise InputError(f"steps must be at least 1, got {self.steps}", "steps")
        if not 0 <= self.guidance < float("inf"):
            raise InputError(f"guidance must be 0 or more, got {self.guidance}", "guidance")
        if self.retries < 0:
            raise InputError(f"retries must be 0 or more, got {self.retries}", "retries")
        if self.batch < 1:
            raise InputError(f"batch must be at least 1, got {self.batch}", "batch")
        if self.chunks is not None and self.timing.duration is not None:
            raise InputError(
                "a duration needs the codes of the whole text: it cannot be combined with chunks",
                "duration",
            )
        self.reading(segment_tokens=1)  # checks the text settings

    def sampling_up_to(self, max_codes: int) -> SamplingConfig:
        """The sampling settings, with a limit on the number of codes.

        The start code is excluded. The reference may sample it, and then fails: the codec has no
        such entry.
        """
        return dataclasses.replace(self.sampling, max_codes=max_codes, start_code=False)

    def reading(self, segment_tokens: int) -> TextSettings:
        """The settings for reading a text, with segments of at most this many text tokens."""
        return TextSettings(
            compat=self.text_compat,
            segment_tokens=segment_tokens,
            quick_tokens=self.quick_tokens,
            pause=self.pause,
            glossary=self.glossary,
            strict=self.strict_text,
        )


@functools.lru_cache(maxsize=16)
def settings_of(text: bytes | None, where: str = "settings.yaml") -> Settings:
    """A model's default settings: the reference's, overridden by its settings file.

    `text` is YAML in the form of `Settings`; omitted keys have the reference's values.

    Raises:
        ConfigError: for an unknown key or an invalid value.
    """
    usual = Settings()
    if text is None:
        return usual
    try:
        given = strict_yaml.parse(text.decode())
    except ValueError as error:
        raise ConfigError(f"{where} is not valid YAML: {error!s:.200}") from error
    if not isinstance(given, Mapping) or "glossary" in given:
        raise ConfigError(f"{where}: expected settings by name, without a glossary")
    try:
        return from_data(Settings, _merged(to_data(usual), given))
    except InputError as error:
        raise ConfigError(f"{where}: {error}") from error


def _merged(usual: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`usual` with the values of `given`, merged at every depth."""
    result = dict(usual)
    for key, value in given.items():
        inner = usual.get(key)
        nested = isinstance(inner, dict) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if nested and inner is not None else value
    return result


def limit(name: str, requested: int | None, usual: int, holds: int) -> int:
    """A limit within the position tables; a larger request is an error."""
    if requested is None:
        return min(usual, holds)
    if not 1 <= requested <= holds:
        raise InputError(f"{name} must be 1 to {holds} for this model, got {requested}")
    return requested


def max_codes_of(model: Model, settings: Settings) -> int:
    """New codes in a segment, at most."""
    holds = model.config.gpt.max_codes
    return limit("max_codes", settings.max_codes, model.config.limits.segment_codes, holds)


def segment_limit(model: Model, requested: int | None) -> int:
    """Text tokens in a segment, at most."""
    holds = model.config.gpt.max_text_tokens
    return limit("the segment length", requested, model.config.limits.segment_tokens, holds)
