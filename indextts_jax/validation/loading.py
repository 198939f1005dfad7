"""Models for validation: components are loaded on demand, and others are released for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from indextts_jax.checkpoint import reading
from indextts_jax.config import RunConfig
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.parameters import Parameters
from indextts_jax.runtime.versions.registry import version_of

DTYPE = "float32"  # compute dtype
ROOM = 10**9  # bytes of unused components that may stay in memory


class OneByOne:
    """Gives the model of a checkpoint in float32, whose components are loaded on first use."""

    def __init__(
        self,
        path: str | Path,
        *,
        room: int = ROOM,
        on_stage: Callable[[str], None] = lambda text: None,
    ):
        self.saved = reading.open_checkpoint(path)
        self._on_stage = on_stage
        run = RunConfig(dtype=DTYPE)
        self.params = Parameters(
            self.saved,
            run,
            self.saved.components,
            room=room,
            on_load=lambda name: on_stage(f"loading {name}"),
        )
        tokenizer = version_of(self.saved.config).tokenizer(self.saved.tokenizer)
        self._model = Model(self.saved.config, self.params, tokenizer, run=run)

    def __call__(self, names: Sequence[str]) -> Model:
        """The model, after checking that the named components exist and are undamaged.

        Raises:
            InputError: for a component that is missing or damaged.
        """
        self.saved.require(names)
        for name in names:
            if name not in self.params.verified:
                self._on_stage(f"checking the hashes of {name}")
                self.params.verify([name])
        return self._model
