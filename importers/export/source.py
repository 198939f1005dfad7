"""What is exported: a checkpoint, trained components that replace its own, and adapters."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from importers.table import Tree, flatten, nested_like
from indextts_jax.checkpoint import reading
from indextts_jax.checkpoint.adapter import LICENCE
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import ModelConfig
from indextts_jax.models.components import structure
from indextts_jax.runtime import adapters as adapting
from indextts_jax.runtime.adapters import AppliedAdapter
from indextts_jax.utils.hashing import FileHash


@dataclasses.dataclass(frozen=True)
class Source:
    """Parameters by component, each loaded on demand."""

    name: str  # its name in messages
    config: ModelConfig
    tokenizer: bytes
    checkpoint: Checkpoint | None = None
    replaced: Mapping[str, Tree] = dataclasses.field(default_factory=dict)
    """Trained components that replace the checkpoint's."""
    adapters: tuple[AppliedAdapter, ...] = ()
    notes: tuple[str, ...] = ()  # shown after the export
    stored_dtype: str | None = None  # of stored weights; None: as in the checkpoint

    @property
    def dtype(self) -> str:
        """Dtype of stored weights."""
        if self.stored_dtype is not None:
            return self.stored_dtype
        return "float32" if self.checkpoint is None else self.checkpoint.provenance.dtype

    @property
    def components(self) -> tuple[str, ...]:
        """Names of all components."""
        held = () if self.checkpoint is None else self.checkpoint.components
        return tuple(dict.fromkeys([*held, *self.replaced]))

    @property
    def origins(self) -> tuple[FileHash, ...]:
        """The published files that the checkpoint came from."""
        return () if self.checkpoint is None else self.checkpoint.provenance.sources

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names that were ignored when the checkpoint was imported."""
        return () if self.checkpoint is None else self.checkpoint.provenance.ignored

    @property
    def licence(self) -> str:
        """The licence line for the exported model; empty if the model is the user's own."""
        return LICENCE if self.origins else ""

    @property
    def changed(self) -> tuple[str, ...]:
        """Components that differ from the checkpoint's."""
        adapted = {name for one in self.adapters for name in one.adapter.trees if one.strength != 0}
        return tuple(name for name in self.components if name in adapted or name in self.replaced)

    def load(self, name: str) -> Tree:
        """A component's parameters, as NumPy arrays in the stored dtypes, or float32 if changed."""
        if name in self.replaced:
            params = self.replaced[name]
        else:
            assert self.checkpoint is not None
            params = self.checkpoint.load([name])[name]
        return jax.tree.map(np.asarray, adapting.merge(name, params, self.adapters))

    def stored(self, name: str) -> Tree:
        """A component's parameters, all in the stored dtypes."""
        expected = flatten(structure(name, self.config, self.dtype).expected)
        params = self.load(name)
        flat = {path: array.astype(expected[path].dtype) for path, array in flatten(params).items()}
        return nested_like(params, flat)


def open_source(checkpoint: str | Path, adapters: Sequence[AppliedAdapter] = ()) -> Source:
    """A checkpoint to export.

    Raises:
        InputError: if it does not exist, or an adapter was made for another checkpoint.
    """
    saved = reading.open_checkpoint(checkpoint)
    adapting.check(adapters, saved)
    return Source(str(checkpoint), saved.config, saved.tokenizer, saved, adapters=tuple(adapters))
