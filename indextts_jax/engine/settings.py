"""How to speak: the settings of a request, and the limits that a model sets to them."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from indextts_jax.engine.pace import Timing
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
    max_codes: int | None = None  # new codes in a segment; by default as many as the model holds
    segment_tokens: int | None = None  # likewise, text tokens
    steps: int = 25  # of the flow
    guidance: float = 0.7  # of the flow, 0 for none
    pause: float = PAUSE  # seconds
    quick_tokens: int = 0  # segments that begin before so many text tokens hold half as many
    text_compat: bool = False  # read as the reference does, faults included
    glossary: Glossary | None = None  # how terms are read
    strict_text: bool = False  # refuse a text with what the tokenizer does not know
    timing: Timing = dataclasses.field(default_factory=Timing)
    retries: int = 0  # further tries for a segment with faults, each with the next seed
    batch: int = 1  # segments that are spoken at once, at most

    def __post_init__(self) -> None:
        usual = SamplingConfig()
        own = (self.sampling.max_codes, self.sampling.start_code)
        if own != (usual.max_codes, usual.start_code):
            raise InputError("max_codes and start_code are not set in Settings.sampling")
        if self.steps < 1:
            raise InputError(f"steps must be at least 1, got {self.steps}", "steps")
        if not 0 <= self.guidance < float("inf"):
            raise InputError(f"guidance must be 0 or more, got {self.guidance}", "guidance")
        if self.retries < 0:
            raise InputError(f"retries must be 0 or more, got {self.retries}", "retries")
        if self.batch < 1:
            raise InputError(f"batch must be at least 1, got {self.batch}", "batch")
        self.reading(segment_tokens=1)  # for what it refuses

    def sampling_up_to(self, max_codes: int) -> SamplingConfig:
        """How codes are chosen, so many at most.

        The reference may draw the start code, for which the codec has no entry, and then fails.
        """
        return dataclasses.replace(self.sampling, max_codes=max_codes, start_code=False)

    def reading(self, segment_tokens: int) -> TextSettings:
        """How the text is read and cut, with segments of at most so many text tokens."""
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
    """The settings that a model speaks with unless others are given: the reference's, or its own.

    `text` is YAML in the form of `Settings`; what it leaves out stays as the reference has it.

    Raises:
        ConfigError: for a key that there is not, or a value that cannot be.
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
    """`usual` with the values of `given`, at every depth."""
    result = dict(usual)
    for key, value in given.items():
        inner = usual.get(key)
        nested = isinstance(inner, dict) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if nested and inner is not None else value
    return result


def limit(name: str, wish: int | None, usual: int, holds: int) -> int:
    """A limit that the position tables hold; a larger wish is an error."""
    if wish is None:
        return min(usual, holds)
    if not 1 <= wish <= holds:
        raise InputError(f"{name} must be 1 to {holds} for this model, got {wish}")
    return wish


def max_codes_of(model: Model, settings: Settings) -> int:
    """New codes in a segment, at most."""
    holds = model.config.gpt.max_codes
    return limit("max_codes", settings.max_codes, model.config.limits.segment_codes, holds)


def segment_limit(model: Model, wish: int | None) -> int:
    """Text tokens in a segment, at most."""
    holds = model.config.gpt.max_text_tokens
    return limit("the segment length", wish, model.config.limits.segment_tokens, holds)
