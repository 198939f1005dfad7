"""The description of a build: its stages in order, read from YAML.

build = load_build("mini/all")
"""

import dataclasses
from pathlib import Path

from indextts_jax.errors import InputError
from indextts_jax.training.recipe import recipes_folder
from indextts_jax.utils import strict_yaml
from indextts_jax.utils.strict_data import ConfigError, from_data


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """Preparation options of a stage."""

    of: tuple[str, ...]  # names of the manifests that the user gives
    recipes: tuple[str, ...]  # of `prepare --for`
    weights: dict = dataclasses.field(default_factory=dict)
    """Shares of epochs by name of a manifest, by default 1, times those that the user gives."""
    own_prompts: bool = False
    validation: int | None = None  # clips; by default 2 %

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if name not in self.of:
                raise ConfigError(f"weights.{name}: expected one of {', '.join(self.of)}")
            if not isinstance(weight, int | float) or not 0 < weight <= 1:
                raise ConfigError(
                    f"weights.{name}: expected a number in (0, 1], got {weight!r:.40}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One training run: its data and recipe. It starts from the model of the previous stage."""

    name: str
    recipe: str
    data: DataOptions
    changes: dict = dataclasses.field(default_factory=dict)
    """Values of the recipe by dotted path, as `train --set`."""
    bars: dict = dataclasses.field(default_factory=dict)
    """Upper limits for figures of the best evaluation; above them the build stops."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"name: expected letters, digits and _, got {self.name!r:.40}")
        for name, most in self.bars.items():
            if not isinstance(most, int | float):
                raise ConfigError(f"bars.{name}: expected a number, got {most!r:.40}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Neutral:
    """Prototypes of a voice without emotions: the mean over the same clips for each emotion."""

    of: str  # name of a manifest
    clips: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Stages in order; each starts from the model of the previous ones."""

    model: str  # name of bundled sizes
    tokenizer: str  # of `prepare --make_tokenizer`, on the texts of the first stage
    pieces: int
    dtype: str = "float32"  # dtype of stored components, from which later stages continue
    stages: tuple[Stage, ...]
    neutral: Neutral
    settings: dict = dataclasses.field(default_factory=dict)
    """Default synthesis settings of the finished model, as in `Settings`."""

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"stages: expected different names, got {', '.join(names) or 'none'}")

    @property
    def manifests(self) -> tuple[str, ...]:
        """Names of the manifests that the build reads."""
        names = [name for stage in self.stages for name in stage.data.of]
        return tuple(dict.fromkeys([*names, self.neutral.of]))


def builds_folder() -> Path:
    """The directory of the bundled builds."""
    return recipes_folder().parent / "from_scratch"


def bundled_builds() -> list[str]:
    """Names of the bundled builds."""
    folder = builds_folder()
    paths = folder.rglob("*.yaml")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def load_build(name: str) -> Build:
    """Loads a bundled build.

    Raises:
        InputError: for an unknown name, or a key that is unknown, missing or ill-typed.
    """
    if name not in bundled_builds():
        raise InputError(f"recipe {name}: expected one of {', '.join(bundled_builds())}", "recipe")
    path = builds_folder() / f"{name}.yaml"
    return parse_build(path.read_text("utf-8"), str(path))


def parse_build(text: str, where: str) -> Build:
    """Parses a build from YAML.

    Raises:
        InputError: as `load_build`.
    """
    try:
        return from_data(Build, strict_yaml.parse(text))
    except ConfigError as error:
        raise InputError(f"{where}: {error}") from error
    except ValueError as error:
        raise InputError(f"{where} is not valid YAML: {error!s:.300}") from error
