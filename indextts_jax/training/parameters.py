"""The initial parameters of a run: from a checkpoint, or newly initialised."""

import fnmatch
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from indextts_jax.checkpoint.reading import Checkpoint, open_checkpoint
from indextts_jax.config import ModelConfig, bundled_config
from indextts_jax.errors import InputError, gathered
from indextts_jax.models.components import (
    EVERY,
    Params,
    module_class,
    section_of,
    structure,
)
from indextts_jax.training.data.prepared import Prepared
from indextts_jax.training.loop.session import Base
from indextts_jax.training.loop.state import leaves_of
from indextts_jax.training.objectives.gpt import initial as gpt_initial
from indextts_jax.training.recipe import Recipe
from indextts_jax.utils import hashing
from indextts_jax.utils.strict_data import to_data


class Source:
    """The source of components, before any is read."""

    def __init__(self, recipe: Recipe, checkpoint: str | Path | None):
        self.recipe = recipe
        self.saved: Checkpoint | None = None if checkpoint is None else open_checkpoint(checkpoint)
        if self.saved is not None:
            self.config: ModelConfig = self.saved.config
        elif recipe.model is not None:
            self.config = bundled_config(recipe.model)
        else:
            raise InputError(
                "checkpoint: this recipe trains an existing model; give one made by python -m "
                "indextts_jax.import",
                "checkpoint",
            )

    def is_drawn(self, name: str) -> bool:
        """Whether a component is newly initialised."""
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.recipe.scratch)

    @property
    def components(self) -> tuple[str, ...]:
        """Components that exist or are newly initialised."""
        saved = () if self.saved is None else self.saved.components
        return tuple(
            name
            for name in EVERY
            if name in saved or (self.is_drawn(name) and section_of(name, self.config) is not None)
        )

    def check_data(self, data: Prepared, needs: Sequence[str]) -> None:
        """Checks that the needed features were computed with this model, as far as it is given.

        Raises:
            InputError: for another tokenizer, or different components that computed features.
        """
        if self.saved is None:
            return
        tokens = hashlib.sha256(self.saved.tokenizer).hexdigest()
        problems = []
        if data.settings.tokenizer and data.settings.tokenizer != tokens:
            problems.append(
                f"tokenizer: {data.settings.tokenizer[:12]}, the checkpoint has {tokens[:12]}"
            )
        for made in data.settings.components:
            name, _, fingerprint = made.partition("=")
            if name == "gpt" and "latents" not in needs:
                continue  # the only features that depend on it
            if name in self.saved.components and not self.is_drawn(name):
                ours = self.saved.provenance.fingerprint([name])
                if ours != fingerprint:
                    problems.append(f"{name}: {fingerprint[:12]}, the checkpoint has {ours[:12]}")
        if problems:
            raise InputError(
                gathered(
                    f"with {data.folder}, which was prepared with a model other than "
                    f"{self.saved.path}",
                    problems,
                )
                + "; prepare the data again"
            )

    def base(self, names: Sequence[str]) -> Base:
        """The parameters of some components, with their hash.

        Raises:
            InputError: for one that neither exists nor is initialised, or is damaged.
        """
        loaded = [name for name in names if not self.is_drawn(name)]
        if loaded and self.saved is None:
            raise InputError(
                f"checkpoint: this recipe needs one with {', '.join(loaded)}", "checkpoint"
            )
        params: Params = {}
        fingerprint = ""
        if self.saved is not None and loaded:
            fingerprint = self.saved.provenance.fingerprint(loaded)
            params |= self.saved.load(loaded)
        key = jax.random.key(self.recipe.seed)
        for name in names:
            if name not in loaded:
                number = EVERY.index(name)
                params[name] = draw(name, self.config, jax.random.fold_in(key, number))
        tables = set()
        for name in names:
            # In a half-precision checkpoint, only tables are float32.
            expected = leaves_of({name: structure(name, self.config, "bfloat16").expected})[0]
            tables |= {path for path, leaf in expected.items() if leaf.dtype == jnp.float32}
        what = [to_data(self.config), sorted(loaded), fingerprint, sorted(names)]
        return Base(
            params,
            frozenset(tables),
            hashing.digest([*what, self.recipe.seed if len(loaded) < len(names) else None]),
            None if self.saved is None else str(self.saved.path),
        )


def draw(name: str, config: ModelConfig, key: jax.Array) -> Params:
    """New parameters of a component: like GPT-2's, or the default of its modules."""
    if name in gpt_initial.DRAWN:
        return gpt_initial.draw(name, config, key)
    section = section_of(name, config)
    module = module_class(name, section)(section, rngs=nnx.Rngs(key))  # type: ignore[call-arg]
    params: Params = nnx.to_pure_dict(nnx.split(module)[1])
    return params
