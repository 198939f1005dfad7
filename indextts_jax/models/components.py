"""The components of a model by name: how each is built, and the parameter tree it expects."""

import dataclasses
import functools
import importlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from indextts_jax import config
from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.layers.parameters import Table, shapes_only
from indextts_jax.utils import disk_cache
from indextts_jax.utils.strict_data import to_data

Params = dict[Any, Any]

# The components of every version, by the class of their section of the configuration: the file in
# this directory, and the network in it.
NETWORKS: dict[str, dict[type, tuple[str, str]]] = {
    "semantic_encoder": {config.SemanticEncoderConfig: ("semantic_encoder", "SemanticEncoder")},
    "semantic_codec": {
        config.SemanticCodecConfig: ("semantic_codec", "SemanticCodec"),
        config.HalfRateCodecConfig: ("v25.half_rate_codec", "HalfRateCodec"),
    },
    "style_encoder": {config.StyleEncoderConfig: ("style_encoder", "StyleEncoder")},
    "conditioning": {
        config.ConditioningConfig: ("conditioning", "Conditioning"),
        config.StyleConditioningConfig: ("conditioning", "StyleConditioning"),
    },
    "emotion_prototypes": {
        config.EmotionPrototypesConfig: ("emotion_prototypes", "EmotionPrototypes")
    },
    "gpt": {
        config.GPTConfig: ("gpt", "GPT"),
        config.LanguageGPTConfig: ("v25.language_gpt", "LanguageGPT"),
    },
    "length_regulator": {
        config.LengthRegulatorConfig: ("length_regulator", "LengthRegulator"),
        config.FeatureRegulatorConfig: ("length_regulator", "FeatureRegulator"),
    },
    "dit": {config.DiTConfig: ("dit", "DiT")},
    "vocoder": {config.VocoderConfig: ("vocoder", "Vocoder")},
}
COMPONENTS = tuple(NETWORKS)
# Optional components: without one, its section of the configuration is empty.
OPTIONAL = ("text_emotion",)
# Components used only in training; `import --training` keeps them. Their sizes come from another
# section.
TRAINING = ("training_heads",)
# Components used only in training that no published file has: a run creates them.
TRAINED = ("ctc_head",)
EVERY = (*COMPONENTS, *OPTIONAL, *TRAINING, *TRAINED)
_OTHERS = {
    "text_emotion": ("text_emotion", "TextEmotion"),
    "training_heads": ("training.heads", "TrainingHeads"),
    "ctc_head": ("training.heads", "CTCHead"),
}
_SECTION_OF = {"training_heads": "gpt", "ctc_head": "semantic_codec"}
FUSED = ("gpt", "dit")  # with an attention kernel for NVIDIA GPUs


class Declared(NamedTuple):
    """One parameter."""

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    table: bool  # a stored table, not a weight


@dataclasses.dataclass(frozen=True)
class Structure:
    """A component without values: the module graph, and the shapes and dtypes of its parameters.

    `expected` is a plain nested dict; `bind` makes the module from a dict of the same structure.
    """

    name: str
    section: Any  # of the configuration
    expected: dict[Any, Any]
    fused_attention: bool = False

    @property
    def graph(self) -> Any:
        """The module graph; the first access takes seconds."""
        return _traced(self.name, self.section, self.fused_attention)[0]

    def bind(self, params: dict[Any, Any]) -> Any:
        """The module with these parameters, which are not checked here (see `checkpoint`)."""
        return nnx.merge(self.graph, params)


def _network(name: str, section: Any) -> tuple[str, str]:
    """The file and the class of a component with this section of the configuration."""
    networks = NETWORKS.get(name)
    return _OTHERS[name] if networks is None else networks[type(section)]


def module_class(name: str, section: Any) -> type[nnx.Module]:
    """The class of a component with this section of the configuration."""
    file, network = _network(name, section)
    return getattr(importlib.import_module(f"indextts_jax.models.{file}"), network)


@functools.cache
def _traced(name: str, section: Any, fused_attention: bool) -> tuple[Any, Any]:
    """Graph and shapes of a component, cached by what they depend on, as tracing takes seconds."""
    cls: Any = module_class(name, section)
    kernels = {"fused_attention": True} if fused_attention else {}
    with shapes_only():
        return nnx.split(nnx.eval_shape(lambda: cls(section, **kernels, rngs=nnx.Rngs(0))))


@functools.cache
def _declared(name: str, section: Any) -> tuple[Declared, ...]:
    """The declared parameters of a component, from the disk cache if there is one."""

    def declare() -> list[Any]:
        flat = nnx.to_flat_state(_traced(name, section, False)[1])
        return [
            [list(path), list(variable.get_value().shape), isinstance(variable, Table)]
            for path, variable in flat
        ]

    kind = f"parameters of {_network(name, section)[1]}"
    found = disk_cache.remembered(kind, to_data(section), declare)
    return tuple(Declared(tuple(path), tuple(shape), table) for path, shape, table in found)


def section_of(name: str, config: ModelConfig) -> Any:
    """The section of the configuration with a component's sizes, or None if the model lacks it."""
    return getattr(config, _SECTION_OF.get(name, name))


def structure(
    name: str, config: ModelConfig, dtype: str = "float32", *, fused_attention: bool = False
) -> Structure:
    """The structure of a component, its weights in `dtype`; stored tables stay float32.

    With `fused_attention`, components in `FUSED` use attention kernels for NVIDIA GPUs.
    """
    section = section_of(name, config)
    if section is None:
        raise InputError(f"the model's configuration has no section {name}")
    expected: dict[Any, Any] = {}
    for path, shape, table in _declared(name, section):
        place = expected
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = jax.ShapeDtypeStruct(shape, jnp.float32 if table else jnp.dtype(dtype))
    return Structure(name, section, expected, fused_attention and name in FUSED)


ANALYSIS = (  # components that determine a voice's features
    "semantic_encoder",
    "semantic_codec",
    "style_encoder",
    "conditioning",
)
ANALYSING = (*ANALYSIS, "length_regulator")  # components that analyse a prompt
SPEAKING = ("emotion_prototypes", "gpt", "semantic_codec", "length_regulator", "dit", "vocoder")
ENCODERS = tuple(name for name in ANALYSIS if name not in SPEAKING)  # used for prompts only
