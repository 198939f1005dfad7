"""A recipe: every number of a training run, from YAML, with overrides by dotted path.

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
MOST_BUCKETS = 4  # each bucket is a program that takes minutes to compile
# Settings that do not affect the training itself, which may change when a run is resumed.
FREE = ("log", "evaluation", "saves")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerRecipe:
    """AdamW and its learning rate."""

    rate: float  # learning rate after warm-up
    warmup: int = 0  # steps of linear warm-up from 0
    schedule: str = "cosine"
    end: float = 0.05  # cosine: share of the rate at the last step
    factor: float = 1.0  # exponential: factor of the rate per step
    b1: float = 0.9
    b2: float = 0.98
    eps: float = 1e-8
    decay: float = 0.01
    decayed: tuple[str, ...] = ("*kernel",)  # patterns of paths; not norms, biases, embeddings
    clip: float | None = 1.0  # upper limit of the global gradient norm
    frozen_steps: int = 0  # initial steps without updates of this part

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
    """Batches of a step. Rows are padded to the length of their bucket."""

    seconds: float  # seconds of padded audio per step, over all devices and micro-batches
    buckets: tuple[float, ...]  # seconds, increasing; a row uses the first one that fits
    pieces: int = 1  # sequential micro-batches per step
    multiple: int | None = None  # divides the rows of a batch; the run sets it to devices * pieces
    balance: bool = True  # weight speakers by the square root of their time

    def __post_init__(self) -> None:
        _require(
            0 < len(self.buckets) <= MOST_BUCKETS and min(self.buckets) > 0,
            f"batch.buckets: expected 1 to {MOST_BUCKETS} positive lengths, got {self.buckets}",
        )
        _require(
            list(self.buckets) == sorted(set(self.buckets)),
            f"batch.buckets must increase, got {list(self.buckets)}",
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
    """Evaluations in training, and early stopping."""

    every: int = 0  # steps; 0: an epoch; set by the run
    rows: int | None = None  # most validation rows; default: all
    patience: int | None = 5  # evaluations without improvement after which training ends
    samples: bool = True  # synthesise the fixed texts with the real pipeline
    texts: tuple[str, ...] = ()  # texts of the samples; default: those of `evaluation/samples.py`
    best: str = "judge"  # criterion of the best save: judges if given, or "loss"
    # Limits of the guard: the rise of its loss since step 0, and the divergence from the base.
    guard_warn: float = 0.05  # more gives a warning
    guard_stop: float = 0.2  # more ends the training
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
    """The saves of a run."""

    every: int = 500  # steps; every evaluation is saved as well
    best: int = 2  # best saves to keep
    last: int = 2
    keep_every: int | None = None  # saves at multiples of this step are kept permanently

    def __post_init__(self) -> None:
        for name in ("every", "best", "last"):
            value = getattr(self, name)
            _require(value > 0, f"saves.{name} must be positive, got {value}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LogRecipe:
    """What to log."""

    every: int = 10  # steps

    def __post_init__(self) -> None:
        _require(self.every > 0, f"log.every must be positive, got {self.every}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Every number of a run."""

    objective: str  # see `objectives/registry.py`
    options: dict = dataclasses.field(default_factory=dict)  # read by the objective
    # Components to initialise instead of reading them from the checkpoint; ("*",) means all.
    scratch: tuple[str, ...] = ()
    model: str | None = None  # name of bundled sizes, without a checkpoint
    steps: int = 0  # 0: from `epochs`; set by the run
    epochs: float = 0.0  # used if `steps` is not set
    seed: int = 0
    compute: str = "float32"
    shard: bool = False  # shard master weights, moments and averages over the devices
    average: float | None = None  # decay of the moving average that is evaluated and exported
    most_skipped: int = 10  # consecutive steps with non-finite gradients before the run stops
    batch: BatchRecipe
    optimizer: OptimizerRecipe
    discriminators: OptimizerRecipe | None = None  # optimizer of the part with this name
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
        """The optimizer recipe of a part."""
        if part == "discriminators" and self.discriminators is not None:
            return self.discriminators
        return self.optimizer


def recipes_folder() -> Path:
    """The directory of the bundled recipes."""
    package = Path(__file__).parents[1]
    inside = package / "configs"  # in a wheel; in a source tree it is beside the package
    return (inside if inside.is_dir() else package.parent / "configs") / "recipes"


def bundled() -> list[str]:
    """Names of the bundled recipes."""
    folder = recipes_folder()
    paths = folder.rglob("*.yaml")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def load_recipe(name: str, changes: Mapping[str, str] | None = None) -> Recipe:
    """Loads a bundled recipe by name, or a YAML file; `changes` are values by dotted path.

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
        raise InputError(f"recipe {name}: file not found", "recipe")
    return parse_recipe(path.read_text("utf-8"), str(path), changes)


def parse_recipe(text: str, where: str, changes: Mapping[str, str] | None = None) -> Recipe:
    """Parses a recipe from YAML.

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
    """Sets a value, parsed as YAML, at a dotted path."""
    try:
        parsed = strict_yaml.parse(value)
    except ValueError as error:
        raise InputError(f"--set {key}={value}: {error!s:.200}") from error
    *parents, last = key.split(".")
    place = data
    for name in parents:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {key}={value}: {name} is a value without keys")
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
    """Paths of differing values that a resumed run must not change."""
    old, new = flat(before), flat(now)
    missing = object()
    return [
        key
        for key in sorted(old.keys() | new.keys())
        if old.get(key, missing) != new.get(key, missing) and key.split(".")[0] not in FREE
    ]
