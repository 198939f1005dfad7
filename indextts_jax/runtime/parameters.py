"""Parameters by component, loaded from a checkpoint as they are first used."""

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp

from indextts_jax.checkpoint import reading
from indextts_jax.config import RunConfig
from indextts_jax.models.components import Params, structure
from indextts_jax.runtime.precision import place_params


class Loaded(Mapping[str, Params]):
    """Parameters by component, out of a checkpoint: each is loaded as it is first asked for."""

    def __init__(self, saved: reading.Checkpoint, run: RunConfig, names: Iterable[str]):
        self._saved, self._run, self._names = saved, run, tuple(names)
        self._held: dict[str, Params] = {}
        self._shapes: dict[str, Params] = {}
        self._verified: set[str] = set()
        self._lock = threading.Lock()
        (self.device,) = jnp.zeros(()).devices()  # the default one, which a context may set
        """Where they are loaded to."""

    def __getitem__(self, name: str) -> Params:
        if name not in self._names:
            raise KeyError(name)
        with self._lock:  # threads wait for the one that loads
            if name not in self._held:
                with jax.default_device(self.device):
                    verify = name not in self._verified
                    stored = self._saved.load([name], verify=verify)[name]
                    self._held[name] = place_params(name, stored, self._saved.config, self._run)
            return self._held[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without loading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def verify(self, names: Iterable[str]) -> None:
        """Compares the files of components with their hashes, before the first is loaded.

        Raises:
            CheckpointMismatch: naming every file that is missing or damaged.
        """
        wanted = tuple(names)
        self._saved.verify(wanted)
        self._verified.update(wanted)

    @property
    def held(self) -> tuple[str, ...]:
        """The components in memory."""
        return tuple(self._held)

    def held_or_shapes(self, name: str) -> Params:
        """A component's parameters if they are in memory, else their shapes."""
        if name in self._held:
            return self._held[name]
        if name not in self._names:
            raise KeyError(name)
        if name not in self._shapes:
            stored = structure(name, self._saved.config, self._saved.provenance.dtype).expected
            place = jax.sharding.SingleDeviceSharding(self.device)
            place_it = functools.partial(
                place_params,
                name,
                config=self._saved.config,
                run=self._run,
                device=self.device,
            )
            shapes = jax.eval_shape(place_it, stored)
            self._shapes[name] = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), shapes
            )
        return self._shapes[name]

    def release(self, names: Iterable[str]) -> None:
        """Forgets components: their memory is free when nothing else holds them."""
        with self._lock:
            for name in names:
                self._held.pop(name, None)
