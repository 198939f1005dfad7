"""The functions that every version has; each version is a module with these names."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int

from indextts_jax.models.gpt import Heads
from indextts_jax.text.frontend import Script, Spoken, TextSettings


class Conditions(NamedTuple):
    """What conditions the GPT on each row, padded."""

    latents: Float[Array, "b l d"]
    emotion: Float[Array, "b d"]
    text: Int[Array, "b t"]
    text_lengths: Int[Array, " b"]
    languages: Int[Array, " b"] | None = None  # of the text; None where the version has none

    @property
    def common(self) -> tuple[Array, Array, Array, Array]:
        """The arrays of every version."""
        return self[:4]


class CodeRows(NamedTuple):
    """Rows of finished codes as the length regulator reads them, padded."""

    lengths: Int[Array, " b"]  # valid rows of `sequence`
    latents: Float[Array, "b s w"] | None  # of a second pass of the GPT; None where there is none
    sequence: Float[Array, "b t d"]
    attention: Float[Array, "b k s c"] | None = None  # of codes to text tokens, by head


@dataclasses.dataclass
class GrowingRows:
    """Rows as the length regulator reads them, of codes that are still coming."""

    conditions: Conditions  # of one row
    prefix: Any = None  # of generation, if there is one: `gpt_cache.PrefixCache`
    cache: Any = None  # of a pass over the codes, where the version has one
    codes: Int[np.ndarray, " n"] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    rows: Float[np.ndarray, "t d"] | None = None  # of all codes so far


class PromptFeatures(NamedTuple):
    """Features of a speaker prompt as the length regulator reads them, padded."""

    codes: Int[Array, "1 t"] | None  # None where the prompt is not quantised
    features: Float[Array, "1 t d"]


@runtime_checkable
class Frontend(Protocol):
    """Prepares texts for one tokenizer."""

    def prepare(self, text: str) -> Script:
        """The script of a text."""


@runtime_checkable
class Version(Protocol):
    """The functions of a version. `model` is a `runtime.model.Model`."""

    LANGUAGE: int | None  # a row of the language table to compile with; None without one
    ROWS_PER_CODE: int  # that the length regulator reads

    def tokenizer(self, data: bytes) -> Any:
        """The tokenizer in the bytes of its file."""

    def frontend(self, tokenizer: Any, settings: TextSettings, language: str | None) -> Frontend:
        """The text front end; equal arguments give equal objects.

        Raises:
            InputError: for a language that the version does not take.
        """

    def language_of(self, spoken: Spoken) -> int | None:
        """The row of the language table of a segment; None where the version has none."""

    def speaker_latents(
        self,
        model: Any,
        semantic: Float[Array, "1 t d"],
        length: Int[Array, " 1"],
        style: Float[Array, "1 s"],
    ) -> Float[Array, "1 l w"]:
        """The conditioning latents of a speaker prompt."""

    def prompt_features(
        self, model: Any, semantic: Float[Array, "1 t d"], length: Int[Array, " 1"]
    ) -> PromptFeatures:
        """What the prompt's condition is made from."""

    def code_rows(
        self,
        model: Any,
        conditions: Conditions,
        codes: Int[Array, "b s"],
        lengths: Int[Array, " b"],
        heads: Heads = (),
    ) -> CodeRows:
        """What the condition of finished codes is made from; with `heads` also their attention."""

    def look_ahead(self, model: Any, *, exact: bool) -> int:
        """Codes behind a code that its rows depend on, or those that make an audible difference."""

    def grow_rows(
        self, model: Any, growing: Sequence[GrowingRows], codes: Sequence[Int[np.ndarray, " n"]]
    ) -> None:
        """Extends each of `growing` to all of its codes so far."""

    def frames(
        self, codes: int, frames_per_code: float, *, speed: float = 1.0, factor: float | None = None
    ) -> int:
        """Mel frames of a number of codes, at a speed, or stretched by a factor."""
