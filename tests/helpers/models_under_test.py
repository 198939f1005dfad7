"""Whole models from the golden sets, for tests of what runs on a model."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import support

from importers.speech import Importer
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of

SETS = {name: support.DATA / name for name in ("tiny", "second", "tiny25")}


@functools.cache
def model(name: str) -> Model:
    """A golden set's model, imported by the real importer."""
    folder: Path = SETS[name] / "checkpoints"
    importer = Importer.open(folder)
    params = {
        component: jax.tree.map(jnp.asarray, importer.read(component)) for component in COMPONENTS
    }
    tokenizer = version_of(importer.config).tokenizer(importer.tokenizer)
    return Model(importer.config, params, tokenizer)
