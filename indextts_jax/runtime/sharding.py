"""Several devices: batches are sharded by rows, parameters are replicated."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from indextts_jax.errors import InputError
from indextts_jax.runtime.model import Model
from indextts_jax.sampling.slots import ROWS


def replicate(model: Model, devices: Sequence[jax.Device]) -> Model:
    """The model on several devices, which share the rows of its batches.

    Raises:
        InputError: if there are no devices, or duplicates.
    """
    if not devices or len(set(devices)) < len(devices):
        raise InputError(f"devices must be one or more distinct devices, got {list(devices)}")
    everywhere = NamedSharding(Mesh(np.asarray(devices), (ROWS,)), PartitionSpec())
    params = {name: jax.device_put(model.params[name], everywhere) for name in model.params}
    return dataclasses.replace(model, params=params)


def mesh_of(model: Model) -> Mesh | None:
    """The mesh of a replicated model; None for a model on one device."""
    if not isinstance(model.params, dict):
        return None  # loaded lazily, so on one device; do not load anything to find out
    sharding = getattr(jax.tree.leaves(next(iter(model.params.values())))[0], "sharding", None)
    mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
    return mesh if isinstance(mesh, Mesh) and mesh.axis_names == (ROWS,) else None


def shard_rows(mesh: Mesh | None, rows: int, arrays: Any) -> Any:
    """Shards arrays by rows over the devices, if the number of rows is divisible by theirs."""
    if mesh is None or rows % mesh.size:
        return arrays
    return jax.device_put(arrays, NamedSharding(mesh, PartitionSpec(ROWS)))
