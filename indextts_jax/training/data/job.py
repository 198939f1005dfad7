"""What is to be prepared, and how: one object, made where the flags are read."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from indextts_jax.text.glossary import Glossary
from indextts_jax.training.data import features
from indextts_jax.training.data.rows.checks import Limits
from indextts_jax.training.data.rows.recording import Trim

Progress = Callable[[int, int, str], None]  # how much is done, of how much, and what


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be prepared, and how."""

    dst: Path
    recipes: tuple[str, ...] = ("gpt", "flow")
    limits: Limits = dataclasses.field(default_factory=Limits)
    trim: Trim = dataclasses.field(default_factory=Trim)
    text_compat: bool = False
    glossary: Glossary | None = None
    own_prompts: bool = False
    validation: int | None = None  # clips; by default 2 %
    seed: int = 0  # of the split
    batch_seconds: float = 120.0  # of padded audio that the networks get at once
    workers: int = dataclasses.field(default_factory=lambda: min(8, os.cpu_count() or 1))

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are made."""
        return features.features_for(self.recipes)

    @property
    def aligns(self) -> bool:
        """Whether codes are aligned with the texts."""
        return "alignment" in self.features

    @property
    def paired(self) -> bool:
        """Whether a recipe takes other clips of the speaker as prompts."""
        return bool(set(self.recipes) & set(features.PAIRED))

    @property
    def speaks(self) -> bool:
        """Whether texts and codes have to fit the positions of the GPT."""
        return bool(set(self.recipes) & set(features.GPT))

    @property
    def reads(self) -> bool:
        """Whether a recipe looks at the texts; else they may be missing."""
        return bool(set(self.recipes) & set(features.READING))
