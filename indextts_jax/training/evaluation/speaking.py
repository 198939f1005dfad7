"""An inference model from the parameters of a run: trained ones replace those of the base."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from indextts_jax.models.components import Params, structure
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.precision import place_params
from indextts_jax.training.recipe import Recipe

ADAPTERS = "adapters"  # component with the adapter of each adapted component
DOWN, UP = "down", "up"


def merged(params: Params, change: Mapping[Any, Any], scale: float) -> Params:
    """Merges low-rank changes into kernels, which become float32."""
    found = dict(params)
    for name, inner in change.items():
        if inner.keys() == {DOWN, UP}:
            down, up = (inner[key].astype(jnp.float32) for key in (DOWN, UP))
            found[name] = params[name].astype(jnp.float32) + scale * (down @ up)
        else:
            found[name] = merged(params[name], inner, scale)
    return found


def scale_of(recipe: Recipe) -> float:
    """The scale of a recipe's adapter: alpha / rank."""
    lora = recipe.options.get("lora") or {}
    return float(lora["alpha"]) / float(lora["rank"]) if lora else 1.0


def speaking(model: Model, params: Params, scale: float = 1.0) -> Model:
    """`model` (the base, loaded for inference) with trained parameters substituted.

    `scale` is that of the adapters, alpha / rank. Training-only components are omitted.
    """
    changes = params.get(ADAPTERS, {})
    placed: dict[str, Params] = {}
    for name in model.params:
        if name not in params:
            continue
        whole = params[name] if name not in changes else merged(params[name], changes[name], scale)
        like = structure(name, model.config).expected
        # Copies, because placing consumes them, while the training continues with its own.
        whole = jax.tree.map(lambda leaf, like: jnp.array(leaf, like.dtype), whole, like)
        placed[name] = place_params(name, whole, model.config, model.run, model.device)
    return Model(
        model.config, Replaced(model.params, placed), model.tokenizer, model.provenance, model.run
    )


class Replaced(Mapping[str, Params]):
    """The components of a model with some replaced; the others are loaded on first use."""

    def __init__(self, base: Mapping[str, Params], placed: Mapping[str, Params]):
        self._base, self._placed = base, placed
        self.device = getattr(base, "device", None) or _device(base)

    def __getitem__(self, name: str) -> Params:
        return self._placed[name] if name in self._placed else self._base[name]

    def __contains__(self, name: object) -> bool:
        return name in self._base

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


def _device(params: Mapping[str, Params]) -> jax.Device:
    (device, *_) = jax.tree.leaves(next(iter(params.values())))[0].devices()
    found: jax.Device = device
    return found
