"""The model trained by a run: whole components, or an adapter for its checkpoint."""

import dataclasses
from pathlib import Path

from indextts_jax.checkpoint.adapter import Adapter, make_adapter
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.models.components import Params, structure
from indextts_jax.training.data.prepared import TOKENIZER
from indextts_jax.training.objectives import registry
from indextts_jax.training.parameters import Source
from indextts_jax.training.result import ADAPTERS, Result, read_result


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """The trained model of one save of a run."""

    config: ModelConfig
    tokenizer: bytes
    checkpoint: Checkpoint | None  # the base
    components: dict[str, Params]  # changed or new components
    adapters: tuple[Adapter, ...]  # at most one
    notes: tuple[str, ...]


def open_run(run: str | Path, step: int | None = None) -> TrainedModel:
    """Opens the model of the best save of a run, or of a given step.

    Raises:
        InputError: for a run without such a save, or whose checkpoint has changed since.
    """
    result = read_result(run, step)
    source = Source(result.recipe, result.record.checkpoint)
    options = result.recipe.options
    objective = registry.build(result.recipe.objective, source.config, options, source.components)
    base = source.base(objective.components)
    if base.digest != result.record.base:
        raise InputError(
            f"{run} began with other parameters than {result.record.checkpoint} has now: expected "
            f"{result.record.base[:12]}, got {base.digest[:12]}"
        )
    # An objective may train other parameters than a checkpoint stores (weight norm of kernels).
    unfold, fold = (getattr(objective, name, _as_it_is) for name in ("unfold", "fold"))
    trained = fold({n: result.applied(n, params) for n, params in unfold(base.params).items()})
    changed = {
        name: trained[name]
        for name in base.params
        if name in result.components or source.is_drawn(name)
    }
    kept = getattr(objective, "kept", {})
    for name, inside in kept.items():
        changed[name] = result.part(inside, structure(name, source.config).expected)
    extra = [name for name in result.components if name not in base.params]
    notes = [f"step {result.step} of {run}"]
    notes += [f"kept for training: {name}, a part of {inside}" for name, inside in kept.items()]
    if extra:
        notes.append(f"omitted, used only in training: {', '.join(extra)}")
    return TrainedModel(
        source.config,
        source.saved.tokenizer if source.saved is not None else _tokenizer(result),
        source.saved,
        changed,
        _adapters(result, source.saved),
        tuple(notes),
    )


def _as_it_is(params: Params) -> Params:
    return params


def _adapters(result: Result, base: Checkpoint | None) -> tuple[Adapter, ...]:
    """The adapter of a run, if it trains one."""
    trees = result.adapters
    if not trees:
        return ()
    if base is None:
        raise InputError(f"{result.run} has {ADAPTERS}, but no base checkpoint")
    alpha = result.recipe.options["lora"]["alpha"]
    recipe = result.recipe.objective
    return (make_adapter(result.run, trees, alpha=alpha, base=base.provenance, recipe=recipe),)


def _tokenizer(result: Result) -> bytes:
    """The tokenizer of the data, for a model trained without a checkpoint."""
    path = Path(result.record.data) / TOKENIZER
    if not path.is_file():
        raise InputError(f"{path} is missing: it is the only copy of the tokenizer of {result.run}")
    return path.read_bytes()
