"""The functions that training needs of every version; each version is a module with these names.

kind = kind_of(config)
kind.RECIPES["flow"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import jax
import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import training_module_of
from indextts_jax.text.frontend import Script
from indextts_jax.training.objectives.base import Batch

if TYPE_CHECKING:
    from indextts_jax.training.data.index import Row
    from indextts_jax.training.data.prepared import Prepared

Array = jax.Array


class Stretched(NamedTuple):
    """Rows as the length regulator reads them, padded, and how many of each are valid."""

    sequence: Array  # b s d
    lengths: Array  # b


class Kind(Protocol):
    """What a version has of its own in preparation and in the objectives."""

    RECIPES: Mapping[str, tuple[str, ...]]  # features of each value of `--for`
    NETWORKS: Mapping[str, tuple[str, ...]]  # components that compute each feature
    # Features that features of codes are computed from, here or in the prompt clip.
    INPUTS: Mapping[str, tuple[str, ...]]
    PROMPT: str  # feature of a prompt that its condition is made from
    VOICE: tuple[str, ...]  # features that a trained conditioning needs of a prompt
    LATENTS: float  # usual share of the flow's targets with the GPT's latents; 0 where none exist
    OBJECTIVES: tuple[str, ...]  # names of the objectives that train it
    TAGGED: bool  # whether a text is given its language
    MAKES_TOKENIZER: bool  # whether `prepare` can make its tokenizer
    POSITIONS: tuple[str, ...]  # patterns of the GPT's tables of positions and languages

    def codes_of(self, features: int) -> int:
        """The number of codes for this many semantic features."""

    def features_of(self, codes: int) -> int:
        """The most semantic features that this many codes have."""

    def text_tokens(self, tokenizer: Any, script: Script, config: ModelConfig) -> tuple[int, ...]:
        """The text tokens of a clip as the GPT gets them, without start and stop."""

    def language(self, script: Script) -> str:
        """The language in which a text was read; empty where the tokens do not say it."""

    def clip_latents(
        self, model: Model, semantic: Array | None, counts: Array | None, style: Array | None
    ) -> Array:
        """Conditioning latents of clips, from the features that `NETWORKS` says."""

    def prompt_condition(self, model: Model, prompts: np.ndarray) -> Array:
        """What the condition of prompts is made from, from their feature `PROMPT`."""

    def coded_condition(
        self, model: Model, codes: np.ndarray, latents: np.ndarray | None, counts: np.ndarray
    ) -> Stretched:
        """What the condition of finished codes is made from."""

    def text_arrays(self, rows: Sequence[Row]) -> Batch:
        """Arrays that the GPT's text rows need besides the tokens."""

    def voice_arrays(
        self,
        data: Prepared,
        prompts: Sequence[Row],
        semantic: Sequence[np.ndarray],
        stacked: Any,
    ) -> Batch:
        """Arrays from which a trained conditioning makes the latents of prompts.

        `semantic` are their semantic features, cut; `stacked` pads and stacks such arrays.
        """

    def voice_latents(self, conditioning: Any, batch: Batch) -> Array:
        """The latents of prompts, from the arrays of `voice_arrays`."""

    def voice_frames(self, config: ModelConfig) -> int:
        """Most semantic features of a prompt that a trained conditioning uses."""

    def empty_prompts(self, rows: int, codes: int, config: ModelConfig) -> Batch:
        """Arrays of the flow's prompts, padded to `codes` codes."""

    def put_prompt(
        self, batch: Batch, number: int, data: Prepared, prompt: Row, codes: slice
    ) -> None:
        """Writes a range of a clip's codes into the arrays of `empty_prompts`."""

    def flow_rows(self, codec: Any, regulator: Any, batch: Batch) -> tuple[Stretched, Stretched]:
        """Prompts and targets of the flow as the length regulator reads them, of one size."""


def kind_of(config: ModelConfig) -> Kind:
    """What a model's version has of its own in training."""
    return kind_named(config.version)


def kind_named(version: str) -> Kind:
    """What a version has of its own in training."""
    return cast(Kind, training_module_of(version))
