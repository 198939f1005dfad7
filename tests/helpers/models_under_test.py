"""Whole models from the golden sets, for tests of what runs on a model."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import support

from importers.speech import Importer
from indextts_jax.models.components import COMPONENTS, Params
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of

SETS = {name: support.DATA / name for name in ("tiny", "second", "tiny25", "second25")}


class OnFirstUse(Mapping[str, Params]):
    """The components of published files, each read when it is first used: most tests need few."""

    def __init__(self, importer: Importer):
        self._importer = importer
        self._read: dict[str, Params] = {}
        self.device = jax.devices()[0]  # else the model asks an array

    def __getitem__(self, name: str) -> Params:
        if name not in COMPONENTS:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = jax.tree.map(jnp.asarray, self._importer.read(name))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMPONENTS)

    def __len__(self) -> int:
        return len(COMPONENTS)


@functools.cache
def model(name: str) -> Model:
    """A golden set's model, imported by the real importer."""
    folder: Path = SETS[name] / "checkpoints"
    importer = Importer.open(folder)
    params: Mapping[str, Params] = OnFirstUse(importer)
    tokenizer = version_of(importer.config).tokenizer(importer.tokenizer)
    return Model(importer.config, params, tokenizer)
