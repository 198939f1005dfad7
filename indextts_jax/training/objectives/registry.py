"""The objectives by their names in recipes."""

import importlib
from collections.abc import Collection, Mapping
from typing import Any

from indextts_jax.config import RELEASES, ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.objectives.base import Objective
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.strict_data import ConfigError

# Each module has `build(config, options, components)`: the objective with a recipe's options, for a
# model whose `components` exist or are initialised.
NAMES = ("gpt", "flow", "vocoder", "tokens", "style")
MODULES = {name: f"indextts_jax.training.objectives.{name}.objective" for name in NAMES}


def build(
    name: str, config: ModelConfig, options: Mapping[str, Any], components: Collection[str]
) -> Objective:
    """Builds the objective of a recipe.

    Raises:
        InputError: for an unknown objective, or an option that is unknown or ill-typed.
    """
    if name not in MODULES:
        raise InputError(f"objective: expected one of {', '.join(MODULES)}, got {name!r}")
    kind = kind_of(config)
    if name not in kind.OBJECTIVES:
        raise InputError(
            f"objective {name}: {RELEASES[config.version].name} cannot be trained with it, only "
            f"with {', '.join(kind.OBJECTIVES)}"
        )
    module = importlib.import_module(MODULES[name])
    try:
        made: Objective = module.build(config, options, components)
    except ConfigError as error:
        raise InputError(f"options of {name}: {error}") from error
    return made
