"""Sharding: rows of a batch are sharded over devices; the state is replicated or sharded."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from indextts_jax.training.loop.state import Leaves, State

DATA = "data"  # axis of the mesh


@dataclasses.dataclass(frozen=True)
class Placement:
    """Placement of the state and the batches of a run."""

    mesh: Mesh
    sharded: bool = False  # whether to shard state arrays, on their largest divisible axis

    @classmethod
    def on(cls, devices: Sequence[jax.Device], *, sharded: bool = False) -> "Placement":
        """A placement on these devices."""
        return cls(Mesh(np.asarray(devices), (DATA,)), sharded)

    @property
    def everywhere(self) -> NamedSharding:
        """The sharding of replicated arrays."""
        return NamedSharding(self.mesh, PartitionSpec())

    def of(self, leaf: Any) -> NamedSharding:
        """The sharding of an array of the state."""
        sizes = [size if size % self.mesh.size == 0 else 0 for size in leaf.shape]
        if not self.sharded or self.mesh.size == 1 or not any(sizes):
            return self.everywhere
        axis = int(np.argmax(sizes))
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, DATA))

    def put_state(self, state: State) -> State:
        """Places a state on the devices."""
        return jax.tree.map(lambda leaf: jax.device_put(leaf, self.of(leaf)), state)

    def put(self, leaves: Leaves) -> Leaves:
        """Places arrays, replicated."""
        return {path: jax.device_put(leaf, self.everywhere) for path, leaf in leaves.items()}

    def put_batch(self, batch: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Places a batch (axes: micro-batches, rows), with rows sharded."""
        rows = NamedSharding(self.mesh, PartitionSpec(None, DATA))
        return {name: jax.device_put(array, rows) for name, array in batch.items()}

    def constrain(self, state: State) -> State:
        """Inside a step: keeps the shardings of the state."""
        return jax.tree.map(
            lambda leaf: jax.lax.with_sharding_constraint(leaf, self.of(leaf)), state
        )

    def gather(self, leaves: Leaves) -> Leaves:
        """Inside a step: replicates parameters; their gradients are sharded again."""
        if not self.sharded:
            return leaves
        return {
            path: jax.lax.with_sharding_constraint(leaf, self.everywhere)
            for path, leaf in leaves.items()
        }
