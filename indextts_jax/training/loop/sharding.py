"""Devices: rows of a batch are sharded over them; the state is replicated, or sharded too."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from indextts_jax.training.loop.state import Leaves, State

DATA = "data"  # the one axis of the mesh


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the state and the batches of a run are."""

    mesh: Mesh
    sharded: bool = False  # each array of the state on its largest axis that the devices divide

    @classmethod
    def on(cls, devices: Sequence[jax.Device], *, sharded: bool = False) -> "Placement":
        """On these devices."""
        return cls(Mesh(np.asarray(devices), (DATA,)), sharded)

    @property
    def everywhere(self) -> NamedSharding:
        """Whole on each device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def of(self, leaf: Any) -> NamedSharding:
        """Where an array of the state is."""
        sizes = [size if size % self.mesh.size == 0 else 0 for size in leaf.shape]
        if not self.sharded or self.mesh.size == 1 or not any(sizes):
            return self.everywhere
        axis = int(np.argmax(sizes))
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, DATA))

    def put_state(self, state: State) -> State:
        """A state whose arrays are on the devices."""
        return jax.tree.map(lambda leaf: jax.device_put(leaf, self.of(leaf)), state)

    def put(self, leaves: Leaves) -> Leaves:
        """Arrays that are whole on each device."""
        return {path: jax.device_put(leaf, self.everywhere) for path, leaf in leaves.items()}

    def put_batch(self, batch: Mapping[str, Any]) -> dict[str, jax.Array]:
        """A batch (pieces first, rows second), its rows shared by the devices."""
        rows = NamedSharding(self.mesh, PartitionSpec(None, DATA))
        return {name: jax.device_put(array, rows) for name, array in batch.items()}

    def constrain(self, state: State) -> State:
        """Inside a step: arrays of the new state are where those of the old one were."""
        return jax.tree.map(
            lambda leaf: jax.lax.with_sharding_constraint(leaf, self.of(leaf)), state
        )

    def gather(self, leaves: Leaves) -> Leaves:
        """Inside a step: parameters, whole on each device; their gradients come back sharded."""
        if not self.sharded:
            return leaves
        return {
            path: jax.lax.with_sharding_constraint(leaf, self.everywhere)
            for path, leaf in leaves.items()
        }
