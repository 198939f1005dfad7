"""Adapters, merged into the parameters of a component when it is loaded.

A kernel W becomes W + strength * scale * down @ up in float32, before it is cast to the compute
dtype, so an adapter costs nothing at run time. Strength 0 leaves W unchanged.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from indextts_jax.checkpoint.adapter import DOWN, UP, Adapter, read_adapter
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.errors import InputError
from indextts_jax.models.components import Params, structure

MOST = 10.0  # largest strength: beyond it speech breaks down, and a typing error is likely


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AdapterUse:
    """The record of an adapter that was used: its name, hash and strength."""

    name: str
    digest: str  # SHA-256 of its arrays
    strength: float


@dataclasses.dataclass(frozen=True)
class AppliedAdapter:
    """An adapter and its strength: 1 as trained, 0 for no effect."""

    adapter: Adapter
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= MOST:
            raise InputError(
                f"adapter_strength must be from 0 to {MOST:g}, got {self.strength:g}",
                "adapter_strength",
            )

    @property
    def use(self) -> AdapterUse:
        """The record of it, for recipes."""
        adapter = self.adapter
        name = adapter.path.resolve().name
        return AdapterUse(name=name, digest=adapter.record.digest, strength=self.strength)


def load_adapter(path: str | Path, strength: float = 1.0) -> AppliedAdapter:
    """An adapter for `IndexTTS.load`, from a directory made by `python -m indextts_jax.export`.

    Raises:
        InputError: if the directory holds no adapter, or a damaged one; for a strength out of
        range.
    """
    return AppliedAdapter(read_adapter(path), strength)


def read_all(paths: Sequence[str | Path], strengths: Sequence[float]) -> list[AppliedAdapter]:
    """Adapters with their strengths: one number for all, or one for each.

    Raises:
        InputError: for an adapter that cannot be read, or a wrong number of strengths.
    """
    if len(strengths) not in (1, len(paths)):
        raise InputError(
            f"adapter_strength: expected 1 number, or one for each of {len(paths)} adapters, got "
            f"{len(strengths)}",
            "adapter_strength",
        )
    each = strengths if len(strengths) == len(paths) else [*strengths] * len(paths)
    pairs = zip(paths, each, strict=True)
    return [load_adapter(path, strength) for path, strength in pairs]


def check(adapters: Iterable[AppliedAdapter], saved: Checkpoint) -> None:
    """Checks that adapters were made for a checkpoint.

    Raises:
        InputError: naming the base of the adapter and that of the checkpoint; for a kernel that the
            model does not have, or has in another shape.
    """
    held = {record.name: record.digest for record in saved.provenance.components}
    for applied in adapters:
        adapter = applied.adapter
        for base in adapter.record.base:
            if base.digest != held.get(base.name):
                raise InputError(
                    f"the adapter {adapter.path} was made for another base: expected "
                    f"{base.name} with SHA-256 {base.digest[:12]}, {saved.path} has "
                    f"{held.get(base.name, 'none')[:12]}"
                )
        for name, tree in adapter.trees.items():
            expected = structure(name, saved.config).expected
            _walk(tree, expected, functools.partial(_fits, adapter.path), name)


def merge(name: str, params: Params, adapters: Iterable[AppliedAdapter]) -> Params:
    """A component's parameters with its adapters merged; changed kernels are float32.

    All other arrays are returned as they are.
    """
    for applied in adapters:
        tree = applied.adapter.trees.get(name)
        if tree is not None and applied.strength != 0:
            factor = applied.strength * applied.adapter.scale
            params = _walk(tree, params, functools.partial(_changed, factor), name)
    return params


def _walk(tree: Mapping[Any, Any], params: Any, visit: Any, path: str) -> Any:
    """Replaces each kernel that `tree` changes by `visit(kernel, change, path)`."""
    if tree.keys() == {DOWN, UP}:
        return visit(params, tree, path)
    result = dict(params) if isinstance(params, Mapping) else {}
    for key, below in tree.items():
        result[key] = _walk(below, result.get(key), visit, f"{path}.{key}")
    return result


def _fits(adapter: Path, kernel: Any, change: Mapping[str, Any], path: str) -> Any:
    shape = (*change[DOWN].shape[:-1], change[UP].shape[-1])
    if (held := getattr(kernel, "shape", None)) != shape:
        found = f"has {held}" if held is not None else "has no such kernel"
        raise InputError(f"the adapter {adapter} changes {path} {shape}, but the model {found}")
    return kernel


@jax.jit
def _sum(kernel: jax.Array, down: jax.Array, up: jax.Array, factor: jax.Array) -> jax.Array:
    wide = [array.astype(jnp.float32) for array in (kernel, down, up)]
    with jax.default_matmul_precision("highest"):
        return wide[0] + factor * (wide[1] @ wide[2])


def _changed(factor: float, kernel: Any, change: Mapping[str, Any], path: str) -> jax.Array:
    return _sum(kernel, change[DOWN], change[UP], jnp.float32(factor))
