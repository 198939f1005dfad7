"""The components of a model by name: how each is built, and the parameter tree it expects."""

import dataclasses
import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from indextts_jax.config import Config
from indextts_jax.errors import InputError
from indextts_jax.layers.linear import Table

COMPONENTS = {
    "semantic_encoder": "SemanticEncoder",
    "semantic_codec": "SemanticCodec",
    "style_encoder": "StyleEncoder",
    "conditioning": "Conditioning",
    "emotion_prototypes": "EmotionPrototypes",
    "gpt": "GPT",
    "length_regulator": "LengthRegulator",
    "dit": "DiT",
    "vocoder": "Vocoder",
}
# What a model may come without: its section of the configuration is then empty.
OPTIONAL = {"text_emotion": "TextEmotion"}


@dataclasses.dataclass(frozen=True)
class Structure:
    """A component without its values: the graph, and the shapes and dtypes of its parameters.

    `expected` is a plain nested dict; `bind` gives the module for a dict of the same form.
    """

    name: str
    graph: Any
    expected: dict[Any, Any]

    def bind(self, params: dict[Any, Any]) -> Any:
        """The module with these parameters (which are trusted: see `checkpoint`)."""
        return nnx.merge(self.graph, params)


def module_class(name: str) -> type[nnx.Module]:
    """The class of a component."""
    module = importlib.import_module(f"indextts_jax.models.{name}")
    return getattr(module, (COMPONENTS | OPTIONAL)[name])


@functools.cache
def _traced(name: str, section: Any) -> tuple[Any, Any]:
    """Graph and shapes of a component by what they depend on: this takes seconds."""
    cls: Any = module_class(name)
    return nnx.split(nnx.eval_shape(lambda: cls(section, rngs=nnx.Rngs(0))))


def structure(name: str, config: Config, dtype: str = "float32") -> Structure:
    """The structure of a component, its weights in `dtype`; stored tables stay float32."""
    section = getattr(config, name)
    if section is None:
        raise InputError(f"the model's configuration has no section {name}")
    graph, state = _traced(name, section)
    typed = jax.tree.map(
        lambda variable: variable.replace(
            jax.ShapeDtypeStruct(
                variable.get_value().shape,
                jnp.float32 if isinstance(variable, Table) else jnp.dtype(dtype),
            )
        ),
        state,
        is_leaf=lambda leaf: isinstance(leaf, nnx.Variable),
    )
    return Structure(name, graph, nnx.to_pure_dict(typed))
