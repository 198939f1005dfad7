"""The versions by the name in a model's configuration; nothing else asks which version a model is.

`config.RELEASES` lists their sections, `models/components.py: NETWORKS` the networks.
"""

import importlib
from typing import cast

from indextts_jax.config import ModelConfig
from indextts_jax.runtime.versions.interface import Version

# Imported on use: a version's functions run stages, and a model needs its version.
MODULES = {
    "2.0": "indextts_jax.runtime.versions.v20",
    "2.5": "indextts_jax.runtime.versions.v25",
}


def version_of(config: ModelConfig) -> Version:
    """The functions of a model's version."""
    return cast(Version, importlib.import_module(MODULES[config.version]))
