"""The options of a preparation."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from indextts_jax.text.glossary import Glossary
from indextts_jax.training.data import features
from indextts_jax.training.data.rows.checks import Limits
from indextts_jax.training.data.rows.recording import Trim

Progress = Callable[[int, int, str], None]  # done, total, description


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """The options of a preparation, as read from the flags."""

    dst: Path
    version: str  # of the model
    recipes: tuple[str, ...] = ("gpt", "flow")
    limits: Limits = dataclasses.field(default_factory=Limits)
    trim: Trim = dataclasses.field(default_factory=Trim)
    text_compat: bool = False
    glossary: Glossary | None = None
    own_prompts: bool = False
    validation: int | None = None  # clips; by default 2 %
    seed: int = 0  # of the split
    batch_seconds: float = 120.0  # seconds of padded audio in a network batch
    workers: int = dataclasses.field(default_factory=lambda: min(8, os.cpu_count() or 1))

    @property
    def features(self) -> tuple[str, ...]:
        """The features to compute."""
        return features.features_for(self.recipes, self.version)

    @property
    def aligns(self) -> bool:
        """Whether codes are to be aligned with the texts."""
        return "alignment" in self.features

    @property
    def paired(self) -> bool:
        """Whether a recipe uses other clips of the speaker as prompts."""
        return any("codes" in found for found in self._by_recipe)

    @property
    def speaks(self) -> bool:
        """Whether texts and codes are limited by the GPT's positions."""
        return any({"text", "codes"} <= found for found in self._by_recipe)

    @property
    def reads(self) -> bool:
        """Whether a recipe uses the texts; otherwise they may be missing."""
        return "text" in self.features

    @property
    def _by_recipe(self) -> list[frozenset[str]]:
        return [features.features_of(name, self.version) for name in self.recipes]
