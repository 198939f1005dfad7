"""A recipe: every number of a training run, from YAML, with single values changed by path.

recipe = load_recipe("gpt_lora", {"optimizer.rate": "5e-5"})
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError
from indextts_jax.utils import strict_yaml
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

COMPUTE = ("float32", "bfloat16")
BEST_BY = ("judge", "loss")
SCHEDULES = ("cosine", "exponential", "constant")
MOST_BUCKETS = 4  # shapes of a batch: each is a program that takes minutes to compile
# Settings that change no number of the training itself: a run that goes on may have others.
FREE = ("log", "evaluation", "saves")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerRecipe:
    """AdamW and its learning rate."""

    rate: float  # after warm-up
    warmup: int = 0  # steps over which the rate rises from 0
    schedule: str = "cosine"
    end: float = 0.05  # cosine: share of the rate that is left at the last step
    factor: float = 1.0  # exponential: of the rate from one step to the next
    b1: float = 0.9
    b2: float = 0.98
    eps: float = 1e-8
    decay: float = 0.01
    decayed: tuple[str, ...] = ("*kernel",)  # patterns of paths; never norms, biases, embeddings
    clip: float | None = 1.0  # most that the norm of all gradients together may be
    frozen_steps: int = 0  # steps at the start in which this part is not updated

    def __post_init__(self) -> None:
        _require(self.rate > 0, f"optimizer.rate must be positive, got {self.rate}")
        _require(
            self.schedule in SCHEDULES,
            f"optimizer.schedule: expected one of {', '.join(SCHEDULES)}, got {self.schedule!r}",
        )
        for name in ("b1", "b2"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"optimizer.{name} must be in [0, 1), got {value}")
        for name in ("warmup", "frozen_steps", "decay", "eps"):
            value = getattr(self, name)
            _require(value >= 0, f"optimizer.{name} must not be negative, got {value}")
        _require(
            self.clip is None or self.clip > 0,
            f"optimizer.clip must be positive or null, got {self.clip}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BatchRecipe:
    """What is in a step. Rows are padded to the length of their bucket."""

    seconds: float  # of padded audio in a step, over all devices and pieces
    buckets: tuple[float, ...]  # seconds, rising; a row goes into the first that holds it
    pieces: int = 1  # micro-batches that a step is computed in, one after the other
    multiple: int | None = None  # rows of a batch divide by it; set by the run to devices * pieces
    balance: bool = True  # speakers take part by the square root of their time

    def __post_init__(self) -> None:
        _require(
            0 < len(self.buckets) <= MOST_BUCKETS and min(self.buckets) > 0,
            f"batch.buckets: expected 1 to {MOST_BUCKETS} positive lengths, got {self.buckets}",
        )
        _require(
            list(self.buckets) == sorted(set(self.buckets)),
            f"batch.buckets must rise, got {list(self.buckets)}",
        )
        _require(
            self.seconds >= self.buckets[-1],
            f"batch.seconds {self.seconds} is less than the longest of batch.buckets",
        )
        _require(self.pieces > 0, f"batch.pieces must be positive, got {self.pieces}")
        _require(
            self.multiple is None or self.multiple > 0,
            f"batch.multiple must be positive, got {self.multiple}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRecipe:
    """What is measured while training, and when that ends it."""

    every: int = 0  # steps; 0: an epoch; set by the run
    rows: int | None = None  # most validation rows; all without it
    patience: int | None = 5  # evaluations without gain after which training ends
    samples: bool = True  # speak the fixed texts with the real pipeline
    texts: tuple[str, ...] = ()  # of the samples; none: those of `evaluation/samples.py`
    best: str = "judge"  # the best save is by judges where they are given, or by "loss"
    # The guard: the rise of its loss over that of the base, and the divergence from the base.
    guard_warn: float = 0.05  # more is warned of
    guard_stop: float = 0.2  # more ends training
    guard_kl_warn: float = 0.05
    guard_kl_stop: float = 0.2

    def __post_init__(self) -> None:
        _require(self.every >= 0, f"evaluation.every must not be negative, got {self.every}")
        _require(
            self.best in BEST_BY,
            f"evaluation.best: expected {' or '.join(BEST_BY)}, got {self.best!r:.40}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SavesRecipe:
    """What is kept of a run on disk."""

    every: int = 500  # steps; every evaluation is saved as well
    best: int = 2  # of lowest validation loss
    last: int = 2
    keep_every: int | None = None  # steps whose multiples stay for good

    def __post_init__(self) -> None:
        for name in ("every", "best", "last"):
            value = getattr(self, name)
            _require(value > 0, f"saves.{name} must be positive, got {value}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LogRecipe:
    """What is written down."""

    every: int = 10  # steps

    def __post_init__(self) -> None:
        _require(self.every > 0, f"log.every must be positive, got {self.every}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Every number of a run."""

    objective: str  # see `objectives/registry.py`
    options: dict = dataclasses.field(default_factory=dict)  # of the objective; it reads them
    # Components that are drawn anew rather than read from the checkpoint; ("*",) is all.
    scratch: tuple[str, ...] = ()
    model: str | None = None  # bundled sizes, where there is no checkpoint to take them from
    steps: int = 0  # 0: as many as `epochs` take; set by the run
    epochs: float = 0.0  # where `steps` is not set
    seed: int = 0
    compute: str = "float32"
    shard: bool = False  # masters, moments and averages are sharded over the devices
    average: float | None = None  # decay of the moving average that is evaluated and exported
    most_skipped: int = 10  # steps in a row without finite gradients, after which the run stops
    batch: BatchRecipe
    optimizer: OptimizerRecipe
    discriminators: OptimizerRecipe | None = None  # the optimizer of the part of this name
    evaluation: EvaluationRecipe = EvaluationRecipe()
    saves: SavesRecipe = SavesRecipe()
    log: LogRecipe = LogRecipe()

    def __post_init__(self) -> None:
        _require(
            self.steps >= 0 and self.epochs >= 0 and self.steps + self.epochs > 0,
            f"steps or epochs must be positive, got {self.steps} and {self.epochs}",
        )
        _require(self.most_skipped > 0, f"most_skipped must be positive, got {self.most_skipped}")
        _require(
            self.compute in COMPUTE,
            f"compute: expected one of {', '.join(COMPUTE)}, got {self.compute!r} (float16 "
            "overflows in training)",
        )
        _require(
            self.average is None or 0 < self.average < 1,
            f"average must be between 0 and 1, got {self.average}",
        )

    def optimizer_of(self, part: str) -> OptimizerRecipe:
        """The optimizer of a part of a step."""
        if part == "discriminators" and self.discriminators is not None:
            return self.discriminators
        return self.optimizer


def recipes_folder() -> Path:
    """Where the bundled recipes are."""
    package = Path(__file__).parents[1]
    inside = package / "configs"  # of a wheel; a source tree has the directory beside the package
    return (inside if inside.is_dir() else package.parent / "configs") / "recipes"


def bundled() -> list[str]:
    """Names of the bundled recipes."""
    folder = recipes_folder()
    paths = folder.rglob("*.yaml")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def load_recipe(name: str, changes: Mapping[str, str] | None = None) -> Recipe:
    """A bundled recipe by name, or that of a YAML file; `changes` are values by dotted path.

    Raises:
        InputError: for an unknown recipe, or a key that is unknown, missing or ill-typed.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in bundled():
            raise InputError(
                f"recipe {name}: expected a .yaml file, or one of {', '.join(bundled())}", "recipe"
            )
        path = recipes_folder() / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"recipe {name}: there is no such file", "recipe")
    return parse_recipe(path.read_text("utf-8"), str(path), changes)


def parse_recipe(text: str, where: str, changes: Mapping[str, str] | None = None) -> Recipe:
    """The recipe in a YAML text.

    Raises:
        InputError: as `load_recipe`.
    """
    try:
        data = strict_yaml.parse(text)
    except ValueError as error:
        raise InputError(f"{where} is not valid YAML: {error!s:.300}") from error
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected keys and values, got {type(data).__name__}")
    for key, value in (changes or {}).items():
        _change(data, key, value)
    try:
        return from_data(Recipe, data)
    except ConfigError as error:
        raise InputError(f"{where}: {error}") from error


def _change(data: dict[str, Any], key: str, value: str) -> None:
    """Puts a value, as YAML reads it, at a dotted path."""
    try:
        parsed = strict_yaml.parse(value)
    except ValueError as error:
        raise InputError(f"--set {key}={value}: {error!s:.200}") from error
    *parents, last = key.split(".")
    place = data
    for name in parents:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {key}={value}: {name} is a value and has no keys")
        place = inner
    place[last] = parsed


def flat(recipe: Recipe) -> dict[str, Any]:
    """All values by dotted path."""

    def walk(data: Any, path: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            return {path: data}
        found: dict[str, Any] = {}
        for key, value in data.items():
            found |= walk(value, f"{path}.{key}" if path else key)
        return found

    return walk(to_data(recipe), "")


def changed_keys(before: Recipe, now: Recipe) -> list[str]:
    """Paths of values that differ and that a run cannot change on the way."""
    old, new = flat(before), flat(now)
    missing = object()
    return [
        key
        for key in sorted(old.keys() | new.keys())
        if old.get(key, missing) != new.get(key, missing) and key.split(".")[0] not in FREE
    ]
