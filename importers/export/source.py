"""What is exported: the components of a checkpoint, with adapters merged into them if asked."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from importers.table import Tree, flatten, nested_like
from indextts_jax.checkpoint import reading
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import ModelConfig
from indextts_jax.models.components import structure
from indextts_jax.runtime import adapters as adapting
from indextts_jax.runtime.adapters import AppliedAdapter
from indextts_jax.utils.hashing import FileHash


@dataclasses.dataclass(frozen=True)
class Source:
    """Parameters by component, each loaded when it is asked for."""

    checkpoint: Checkpoint
    adapters: tuple[AppliedAdapter, ...] = ()
    replaced: Mapping[str, Tree] = dataclasses.field(default_factory=dict)
    """Components that were trained, whole, in the place of the checkpoint's."""

    @property
    def config(self) -> ModelConfig:
        """The sizes."""
        return self.checkpoint.config

    @property
    def dtype(self) -> str:
        """What weights are stored in."""
        return self.checkpoint.provenance.dtype

    @property
    def components(self) -> tuple[str, ...]:
        """Names of what there is."""
        return self.checkpoint.components

    @property
    def origins(self) -> tuple[FileHash, ...]:
        """The published files that the checkpoint came from."""
        return self.checkpoint.provenance.sources

    @property
    def changed(self) -> tuple[str, ...]:
        """The components that are not the checkpoint's own."""
        adapted = {name for one in self.adapters for name in one.adapter.trees if one.strength != 0}
        return tuple(name for name in self.components if name in adapted or name in self.replaced)

    def load(self, name: str) -> Tree:
        """A component's parameters, as NumPy arrays in the stored dtypes, or float32 if merged."""
        if name in self.replaced:
            return jax.tree.map(np.asarray, self.replaced[name])
        stored = self.checkpoint.load([name])[name]
        return jax.tree.map(np.asarray, adapting.merge(name, stored, self.adapters))

    def stored(self, name: str) -> Tree:
        """A component's parameters, all in the stored dtypes."""
        expected = flatten(structure(name, self.config, self.dtype).expected)
        params = self.load(name)
        flat = {path: array.astype(expected[path].dtype) for path, array in flatten(params).items()}
        return nested_like(params, flat)


def open_source(checkpoint: str | Path, adapters: Sequence[AppliedAdapter] = ()) -> Source:
    """A checkpoint to export.

    Raises:
        InputError: if there is none, or an adapter was made for another one.
    """
    saved = reading.open_checkpoint(checkpoint)
    adapting.check(adapters, saved)
    return Source(saved, tuple(adapters))
