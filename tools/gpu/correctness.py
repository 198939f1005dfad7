"""Which device there is, and whether it computes what the PyTorch reference computed."""

import atexit
import contextlib
import dataclasses
import functools
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import record
from importers.library import import_checkpoint
from indextts_jax.errors import InputError
from indextts_jax.runtime import devices
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.precision import check_kernels
from indextts_jax.validation.compare import Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.loading import OneByOne
from indextts_jax.validation.report import (
    COMPONENTS_OF_ONE_RUN,
    END_TO_END,
    run_end_to_end,
    run_stage,
)
from indextts_jax.validation.stages import STAGES
from tools.gpu.options import Options
from tools.gpu.outcomes import DoesNotApply, Wrong
from tools.gpu.parts import GOLDEN_SETS

DATA = Path(__file__).parents[2] / "tests" / "data"
SETS = {name: DATA / name for name in GOLDEN_SETS}


def open_device(options: Options) -> jax.Device:
    """The requested device, never another.

    Raises:
        InputError: if JAX does not see it; with JAX's own warnings (a plugin that is older than
            its jaxlib, say) and the versions of both.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            device = devices.choose(options.platform)
        except InputError as error:
            found = record.versions(("jax", "jaxlib", *record.PLUGINS))
            said = "; ".join(" ".join(str(one.message).split()) for one in caught)
            raise InputError(
                f"{error}; a plugin must have jaxlib's version, installed are "
                f"{', '.join(f'{name} {version}' for name, version in found.items())}"
                + (f"; JAX's warnings: {said}" if said else "")
            ) from error
    if options.cache:
        jax.config.update("jax_compilation_cache_dir", options.cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return device


def device(options: Options) -> dict[str, Any]:
    """What computes: its name, its memory, its versions; and that it does compute."""
    chosen = open_device(options)
    with jax.default_device(chosen):
        total = float(jax.jit(lambda n: jax.numpy.arange(n.shape[0]).sum())(jax.numpy.ones(1000)))
    if total != 499_500:
        raise ArithmeticError(f"the sum of 0 to 999 is 499500, {chosen} says {total:g}")
    return {
        "device": devices.describe(chosen),
        "count": jax.device_count(chosen.platform),
        "compute_capability": str(getattr(chosen, "compute_capability", "")) or None,
        "runtime": getattr(chosen.client, "platform_version", "").split("\n")[0],
        "memory": (chosen.memory_stats() or {}).get("bytes_limit"),
        "versions": record.versions((*record.PACKAGES, *record.PLUGINS)),
    }


@dataclasses.dataclass(frozen=True)
class Fused:
    """Loads the models of another loader with fused attention."""

    load: OneByOne

    def __call__(self, names: Sequence[str]) -> Model:
        model = self.load(names)
        return dataclasses.replace(model, run=dataclasses.replace(model.run, fused_attention=True))


@functools.cache
def imported(golden: Golden) -> OneByOne:
    """The published files beside the arrays, as a checkpoint that lasts as long as this process."""
    folder = _folders.enter_context(tempfile.TemporaryDirectory())
    import_checkpoint(golden.path / "checkpoints", Path(folder) / "model")
    return OneByOne(Path(folder) / "model")


@functools.cache
def golden_set(name: str) -> Golden:
    """The recorded arrays, seen to be whole."""
    golden = Golden(SETS[name])
    golden.check()
    return golden


_folders = contextlib.ExitStack()
atexit.register(_folders.close)


def comparisons(
    load: Callable[[Sequence[str]], Model], golden: Golden, file: str
) -> list[Comparison]:
    """Our arrays beside the recorded ones of a file."""
    if file == END_TO_END:
        return run_end_to_end(load(COMPONENTS_OF_ONE_RUN), golden)[0]
    (stage,) = (stage for stage in STAGES if stage.file == file)
    return run_stage(stage, load(stage.needs), golden)[0]


def validate(options: Options, name: str, form: str, file: str) -> dict[str, Any]:
    """Compares the arrays of one file of a golden set, in float32.

    Raises:
        Wrong: with the arrays that differ.
        DoesNotApply: if the device has no fused attention.
    """
    chosen = open_device(options)
    fused = form == "fused"
    if fused and (lack := devices.lacks_kernels(chosen)) is not None:
        raise DoesNotApply(f"fused attention needs {lack}")
    golden = golden_set(name)
    with jax.default_device(chosen):
        load = imported(golden)
        if fused:
            try:
                check_kernels(load.saved.config, chosen)
            except InputError as error:  # the kernels do not take every width of a head
                raise DoesNotApply(str(error)) from error
        rows = comparisons(Fused(load) if fused else load, golden, file)
    worst = sorted(rows, key=lambda row: -row.of_limit)[:5]
    failed = [row for row in rows if not row.passed]
    result = {
        "arrays": len(rows),
        "worst": {row.name: _errors(row) for row in worst},
        "failed": {row.name: {**_errors(row), "note": row.note} for row in failed},
    }
    if failed:
        raise Wrong(f"{len(failed)} of {len(rows)} arrays differ from the reference's", result)
    return result


def _errors(row: Comparison) -> dict[str, float]:
    return {"rms": row.rms, "max": row.largest, "of_limit": row.of_limit}
