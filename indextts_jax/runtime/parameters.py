"""Parameters by component, loaded from a checkpoint on first use."""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp

from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import RunConfig
from indextts_jax.models.components import Params, structure
from indextts_jax.runtime import adapters as adapting
from indextts_jax.runtime.adapters import AppliedAdapter
from indextts_jax.runtime.precision import place_params


class Parameters(Mapping[str, Params]):
    """The components of a checkpoint in compute dtype and device layout, each loaded on first use.

    With a limit `room` (bytes), the least recently used are freed before another is loaded.
    `on_load` is called with each name. `adapters` are merged in; they must fit (see
    `adapters.check`). Threads may share it.
    """

    def __init__(
        self,
        saved: Checkpoint,
        run: RunConfig,
        names: Iterable[str],
        *,
        room: int | None = None,
        on_load: Callable[[str], None] = lambda name: None,
        adapters: Sequence[AppliedAdapter] = (),
    ):
        self._saved, self._run, self._names = saved, run, tuple(names)
        self._room, self._on_load, self._adapters = room, on_load, tuple(adapters)
        self._held: dict[str, Params] = {}  # in order of last use
        self.verified: set[str] = set()
        """Components whose files were compared with their hashes."""
        self._lock = threading.Lock()
        (self.device,) = jnp.zeros(()).devices()  # the default one, which a context may set
        """The device to load to."""

    def __getitem__(self, name: str) -> Params:
        if name not in self._names:
            raise KeyError(name)
        with self._lock:  # one thread loads, others wait
            params = self._held.pop(name, None)
            if params is None:
                while self._held and self._room is not None and self._size() > self._room:
                    del self._held[next(iter(self._held))]
                params = self._load(name)
            self._held[name] = params
            return params

    def _load(self, name: str) -> Params:
        self._on_load(name)
        with jax.default_device(self.device):
            stored = self._saved.load([name], verify=name not in self.verified)[name]
            merged = adapting.merge(name, stored, self._adapters)
            del stored
            return place_params(name, merged, self._saved.config, self._run)

    def _size(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(list(self._held.values())))

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
        wanted = [name for name in names if name not in self.verified]
        self._saved.verify(wanted)
        self.verified.update(wanted)

    @property
    def held(self) -> tuple[str, ...]:
        """The components in memory."""
        return tuple(self._held)

    @functools.cached_property
    def shapes(self) -> "Shapes":
        """The shapes of all components, without loading any."""
        return Shapes(self)

    def release(self, names: Iterable[str]) -> None:
        """Drops components; their memory is freed once nothing else refers to them."""
        with self._lock:
            for name in names:
                self._held.pop(name, None)


class Shapes(Mapping[str, Params]):
    """Parameters of components in memory, and only the shapes of the others."""

    def __init__(self, params: Parameters):
        self._params, self.device = params, params.device
        self._shapes: dict[str, Params] = {}

    def __getitem__(self, name: str) -> Params:
        params = self._params
        if name in params._held:
            return params._held[name]
        if name not in params:
            raise KeyError(name)
        if name not in self._shapes:
            saved, sharding = params._saved, jax.sharding.SingleDeviceSharding(self.device)
            stored = structure(name, saved.config, saved.provenance.dtype).expected
            place = functools.partial(
                place_params, name, config=saved.config, run=params._run, device=self.device
            )
            self._shapes[name] = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
                jax.eval_shape(place, stored),
            )
        return self._shapes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)
