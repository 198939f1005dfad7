"""Models for validation: a component is loaded when its turn comes, and others make room for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax

from indextts_jax.checkpoint import reading
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.errors import InputError
from indextts_jax.models.components import Params
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.precision import cast
from indextts_jax.text.tokenizer import Tokenizer

DTYPE = "float32"  # of all computation
ROOM = 10**9  # bytes of components that may stay in memory while another is used


class Resident(Mapping[str, Params]):
    """Parameters by component; those used least recently are forgotten where room is short."""

    def __init__(
        self,
        saved: Checkpoint,
        room: int = ROOM,
        on_stage: Callable[[str], None] = lambda text: None,
    ):
        self._saved, self._room, self._on_stage = saved, room, on_stage
        self._held: dict[str, Params] = {}  # the one used last is the last
        self.loaded: list[str] = []
        """Every component in the order of loading."""

    def __getitem__(self, name: str) -> Params:
        if name not in self._saved.components:
            raise KeyError(name)
        params = self._held.pop(name, None)
        if params is None:
            while self._held and _size(*self._held.values()) > self._room:
                del self._held[next(iter(self._held))]
            params = self._load(name)
        self._held[name] = params
        return params

    def __contains__(self, name: object) -> bool:
        return name in self._saved.components  # without loading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._saved.components)

    def __len__(self) -> int:
        return len(self._saved.components)

    def _load(self, name: str) -> Params:
        self._on_stage(f"loading {name}")
        self.loaded.append(name)
        return cast(name, self._saved.load([name], verify=False)[name], self._saved.config, DTYPE)


def _size(*trees: Params) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(trees))


class OneByOne:
    """Gives the model of a checkpoint, in float32, whose components are loaded as they are used."""

    def __init__(
        self,
        path: str | Path,
        *,
        room: int = ROOM,
        on_stage: Callable[[str], None] = lambda text: None,
    ):
        self.saved = reading.open_checkpoint(path)
        self._on_stage = on_stage
        self.params = Resident(self.saved, room, on_stage)
        self._model = Model(self.saved.config, self.params, Tokenizer(self.saved.tokenizer))
        self._verified: set[str] = set()

    def __call__(self, names: Sequence[str]) -> Model:
        """The model, once the components named are seen to be there and undamaged.

        Raises:
            InputError: for a component that is not in the checkpoint, or damaged.
        """
        missing = [name for name in names if name not in self.saved.components]
        if missing:
            raise InputError(
                f"{self.saved.path} has no {', '.join(missing)}; import again with python -m "
                "indextts_jax.import --components "
                f"{','.join((*self.saved.components, *missing))}"
            )
        for name in names:
            if name not in self._verified:
                self._on_stage(f"checking the hashes of {name}")
                self.saved.verify([name])
                self._verified.add(name)
        return self._model
