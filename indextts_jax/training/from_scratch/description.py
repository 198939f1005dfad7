"""What a build does: stages in order, read from YAML.

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
    """What is prepared for a stage."""

    of: tuple[str, ...]  # names of manifests, which the user gives
    recipes: tuple[str, ...]  # as `prepare --for`
    own_prompts: bool = False
    validation: int | None = None  # clips; by default 2 %


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One run: the data that it reads, and what it trains from where the stage before it ended."""

    name: str
    recipe: str
    data: DataOptions
    changes: dict = dataclasses.field(default_factory=dict)
    """Values of the recipe by dotted path, as `train --set`."""
    bars: dict = dataclasses.field(default_factory=dict)
    """Most that a figure of the best evaluation may be, by name: else the build ends here."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"name: expected letters, digits and _, got {self.name!r:.40}")
        for name, most in self.bars.items():
            if not isinstance(most, int | float):
                raise ConfigError(f"bars.{name}: expected a number, got {most!r:.40}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Neutral:
    """The prototypes of a voice without emotions: of each, the mean over the same clips."""

    of: str  # name of a manifest
    clips: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Stages in order; each begins with the model that the stages before it have made."""

    model: str  # bundled sizes
    tokenizer: str  # as `prepare --make_tokenizer`, of the texts of the first stage
    pieces: int
    dtype: str = "float32"  # that finished components are stored in, and trained on from there
    stages: tuple[Stage, ...]
    neutral: Neutral
    settings: dict = dataclasses.field(default_factory=dict)
    """What the finished model speaks with by default, as `Settings` has it."""

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"stages: expected different names, got {', '.join(names) or 'none'}")

    @property
    def manifests(self) -> tuple[str, ...]:
        """Names of the manifests that it reads."""
        names = [name for stage in self.stages for name in stage.data.of]
        return tuple(dict.fromkeys([*names, self.neutral.of]))


def builds_folder() -> Path:
    """Where the bundled builds are."""
    return recipes_folder().parent / "from_scratch"


def bundled_builds() -> list[str]:
    """Names of the bundled builds."""
    folder = builds_folder()
    paths = folder.rglob("*.yaml")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def load_build(name: str) -> Build:
    """A bundled build.

    Raises:
        InputError: for an unknown name, or a key that is unknown, missing or ill-typed.
    """
    if name not in bundled_builds():
        raise InputError(f"recipe {name}: expected one of {', '.join(bundled_builds())}", "recipe")
    path = builds_folder() / f"{name}.yaml"
    return parse_build(path.read_text("utf-8"), str(path))


def parse_build(text: str, where: str) -> Build:
    """The build in a YAML text.

    Raises:
        InputError: as `load_build`.
    """
    try:
        return from_data(Build, strict_yaml.parse(text))
    except ConfigError as error:
        raise InputError(f"{where}: {error}") from error
    except ValueError as error:
        raise InputError(f"{where} is not valid YAML: {error!s:.300}") from error
