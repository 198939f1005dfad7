"""The versions by the name in a model's configuration; nothing else asks which version a model is.

`config.RELEASES` lists their sections, `models/components.py: NETWORKS` the networks.
"""

import importlib
from types import ModuleType
from typing import NamedTuple, cast

from indextts_jax.config import ModelConfig
from indextts_jax.runtime.versions.interface import Version


class Modules(NamedTuple):
    """The modules of a version, imported on use."""

    running: str  # functions of `interface.Version`: they run stages, and a model needs its version
    training: str  # those of `training/versions/interface.py`


MODULES = {
    "2.0": Modules(
        "indextts_jax.runtime.versions.v20",
        "indextts_jax.training.versions.v20",
    ),
    "2.5": Modules(
        "indextts_jax.runtime.versions.v25",
        "indextts_jax.training.versions.v25",
    ),
}


def version_of(config: ModelConfig) -> Version:
    """The functions of a model's version."""
    return cast(Version, importlib.import_module(MODULES[config.version].running))


def training_module_of(version: str) -> ModuleType:
    """The module with a version's functions for training."""
    return importlib.import_module(MODULES[version].training)
