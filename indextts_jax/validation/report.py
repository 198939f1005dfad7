"""Runs validation stage by stage, compares every array, and writes dumps."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime.model import Model
from indextts_jax.validation import acoustic
from indextts_jax.validation.checks import CHECKS, END_TO_END, Run
from indextts_jax.validation.compare import ATOL, ONE_RUN_RTOL, RTOL, Comparison, compare, failure
from indextts_jax.validation.encoders import pattern_of
from indextts_jax.validation.golden import Arrays, Golden, write_dump
from indextts_jax.validation.stages import STAGES, Stage

CHOICES = tuple(
    dict.fromkeys(
        name
        for checks in CHECKS.values()
        for name in (*(stage.component for stage in checks.stages), END_TO_END)
    )
)
COMPONENTS_OF_ONE_RUN = tuple(dict.fromkeys(name for stage in STAGES for name in stage.needs))
(ONE_RUN,) = CHECKS["2.0"].runs
Loader = Callable[[Sequence[str]], Model]


def _like(ours: object, reference: np.ndarray | None) -> np.ndarray:
    """Our array in the dtype of the reference's, if both are of the same kind."""
    array = np.asarray(ours)
    integers = array.dtype.kind in "iu"
    if reference is not None and integers == (reference.dtype.kind in "iu"):
        return array.astype(reference.dtype)
    return array.astype(np.int64 if integers else np.float32)


def _given(golden: Golden, file: str, names: tuple[str, ...]) -> Arrays:
    pattern = pattern_of(names)
    return {name: a for name, a in golden.arrays(file).items() if pattern.fullmatch(name)}


def _unknown(golden: Golden, file: str, made: Arrays, given: Arrays) -> Iterator[Comparison]:
    """A failure for every recorded array that no stage computes or reads."""
    for name, array in golden.arrays(file).items():
        if name not in made and name not in given:
            note = "unknown array"
            yield failure(f"{file}.{name}", note, array.shape)


def run_stage(
    stage: Stage, model: Model, golden: Golden, *, atol: float = ATOL, rtol: float = RTOL
) -> tuple[list[Comparison], Arrays]:
    """The comparisons of one file, and our arrays in the reference's format, including inputs."""
    recorded = golden.arrays(stage.file)
    made = {name: _like(a, recorded.get(name)) for name, a in stage.run(model, golden).items()}
    given = _given(golden, stage.file, stage.inputs)
    rows = []
    for name, ours in made.items():
        if name not in recorded:
            rows.append(failure(f"{stage.file}.{name}", "the golden file has no such array"))
            continue
        pairs = [(name, ours, recorded[name])]
        margins = recorded.get(f"{name}_margins")
        if name == "batch_estimator" and ours.shape == recorded[name].shape:
            pairs = acoustic.batch_comparisons(model, golden, ours)
        rows += [
            compare(f"{stage.file}.{label}", a, b, atol=atol, rtol=rtol, margins=margins)
            for label, a, b in pairs
        ]
    return [*rows, *_unknown(golden, stage.file, made, given)], made | given


def run_end_to_end(
    model: Model,
    golden: Golden,
    run: Run = ONE_RUN,
    *,
    atol: float = ATOL,
    rtol: float = ONE_RUN_RTOL,
) -> tuple[list[Comparison], Arrays]:
    """The comparisons of an end-to-end run, and our arrays of its file."""
    made = run.run(model, golden)
    rows = []
    for (file, name), ours in made.items():
        label = f"{file}.{name}" if file == run.file else f"{run.file}/{file}.{name}"
        reference = golden.arrays(file).get(name)
        if reference is None:
            rows.append(failure(label, "the golden file has no such array"))
            continue
        margins = golden.arrays(file).get(f"{name}_margins")
        ours = _like(ours, reference)
        rows.append(compare(label, ours, reference, atol=atol, rtol=rtol, margins=margins))
    own = {
        name: _like(ours, golden.arrays(file).get(name))
        for (file, name), ours in made.items()
        if file == run.file
    }
    given = _given(golden, run.file, run.inputs)
    return [*rows, *_unknown(golden, run.file, own, given)], own | given


def chosen_stages(component: str, version: str = "2.0") -> tuple[list[Stage], list[Run]]:
    """The stages of a component, or of all, and the end-to-end runs if they are included.

    Raises:
        InputError: for an unknown component.
    """
    if component not in (*CHOICES, "all"):
        raise InputError(
            f"component must be one of {', '.join(CHOICES)} or all, got {component!r}", "component"
        )
    checks = CHECKS[version]
    stages = [stage for stage in checks.stages if component in (stage.component, "all")]
    return stages, list(checks.runs) if component in (END_TO_END, "all") else []


def comparable(golden: Golden, component: str = "all") -> dict[str, str]:
    """The stages of a component, or of all, each with the reason why it cannot be compared, if any.

    The reason is that the stage, or one that it starts from, was not recorded.
    """
    stages, runs = chosen_stages(component, golden.version)
    wanted = [(stage.file, stage.after) for stage in stages]
    wanted += [(run.file, run.after) for run in runs]
    reasons = {}
    for file, after in wanted:
        missing = [name for name in after if name not in golden.recorded]
        reasons[file] = ""
        if file not in golden.recorded:
            reasons[file] = "not recorded"
        elif missing:
            reasons[file] = f"cannot be compared: {', '.join(missing)} not recorded"
    return reasons


def not_recorded(golden: Golden, component: str = "all") -> dict[str, str]:
    """The stages that cannot be compared, with the reasons."""
    return {file: why for file, why in comparable(golden, component).items() if why}


def validate(
    load: Loader,
    golden: Golden,
    component: str = "all",
    *,
    atol: float | None = None,
    rtol: float | None = None,
    dump: Path | None = None,
    on_stage: Callable[[str], None] = lambda file: None,
) -> Iterator[Comparison]:
    """All comparisons of a component, or of all, in the order of the data flow.

    `load` returns a model with the requested components; `on_stage` is called with each file as it
    is compared. Stages that `not_recorded` names are skipped.

    Raises:
        InputError: for an unknown component, or if none of its stages was recorded.
    """
    stages, whole = chosen_stages(component, golden.version)
    left_out = not_recorded(golden, component)
    stages = [stage for stage in stages if stage.file not in left_out]
    whole = [run for run in whole if run.file not in left_out]
    if not stages and not whole:
        reasons = "; ".join(f"{file}: {reason}" for file, reason in left_out.items())
        raise InputError(f"{golden.path} has nothing to compare ({reasons})")
    needs = {name for stage in stages for name in stage.needs} | (
        set(COMPONENTS_OF_ONE_RUN) if whole else set()
    )
    model = load([name for name in COMPONENTS if name in needs])
    bounds = {"atol": atol, "rtol": rtol}
    given = {name: value for name, value in bounds.items() if value is not None}
    runs: list[tuple[str, Callable[[], tuple[list[Comparison], Arrays]]]] = [
        (stage.file, functools.partial(run_stage, stage, model, golden, **given))
        for stage in stages
    ]
    for one in whole:
        runs.append((one.file, functools.partial(run_end_to_end, model, golden, one, **given)))
    for file, run in runs:
        on_stage(file)
        try:
            rows, arrays = run()
            if dump is not None:
                write_dump(dump, file, arrays)
        except (InputError, ValueError, TypeError, IndexError, KeyError, RuntimeError) as error:
            # An error in one stage is reported as its failure; the others continue.
            yield failure(file, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        else:
            yield from rows
    if component == "all":
        checks = CHECKS[golden.version]
        known = {stage.file for stage in checks.stages} | {run.file for run in checks.runs}
        for file in golden.recorded:
            if file not in known:
                yield failure(file, "unknown file")
