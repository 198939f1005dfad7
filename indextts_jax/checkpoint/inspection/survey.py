"""Surveys a checkpoint: its records, its files, and its arrays one by one."""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from indextts_jax.checkpoint.inspection.marks import Mark, marks
from indextts_jax.checkpoint.inspection.measure import Statistics, measure, shape
from indextts_jax.checkpoint.provenance import ComponentRecord
from indextts_jax.checkpoint.reading import Checkpoint, CheckpointMismatch, leaves_by_path
from indextts_jax.models.components import structure
from indextts_jax.utils import hashing

StageCallback = Callable[[str], None]  # called with a description of the current item


@dataclasses.dataclass(frozen=True, slots=True)
class ComponentPart:
    """A component as stored in the checkpoint."""

    record: ComponentRecord
    arrays: int
    dtypes: tuple[str, ...]
    problems: tuple[str, ...]  # files that are missing or of another size; missing arrays


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """An array with its statistics and marks."""

    path: str  # with the component's name
    shape: tuple[int, ...]
    dtype: str
    found: Statistics
    marks: tuple[Mark, ...]


def parts(saved: Checkpoint, names: tuple[str, ...]) -> Iterator[ComponentPart]:
    """The components, without checking hashes or reading arrays."""
    failure: tuple[str, ...] = ()
    stored: dict[str, dict[str, jax.ShapeDtypeStruct]] = {}
    try:
        stored = saved.stored()
    except CheckpointMismatch as error:
        failure = error.problems
    for record in saved.provenance.components:
        if record.name not in names:
            continue
        folder = saved.path / record.name
        problems = []
        for file in record.files:
            path = folder / file.name
            if not path.is_file():
                problems.append(f"missing: {path}")
            elif (size := path.stat().st_size) != file.size:
                problems.append(f"size of {path}: {size:,} bytes, recorded {file.size:,}")
        held = stored.get(record.name, {})
        if not held and not problems:
            problems = list(failure) or [
                f"missing: {record.name} is not part of the Orbax directory"
            ]
        dtypes = collections.Counter(str(array.dtype) for array in held.values())
        ordered = tuple(dtype for dtype, _ in dtypes.most_common())
        yield ComponentPart(record, len(held), ordered, tuple(problems))


def damages(saved: Checkpoint, record: ComponentRecord, on_stage: StageCallback) -> list[str]:
    """Differences between a component's files and their records; reads every byte."""
    problems = []
    for file in record.files:
        on_stage(f"{record.name}: {file.size / 1e6:,.0f} MB")
        problems += hashing.differences(saved.path / record.name, [file])
    return problems


def measured(
    saved: Checkpoint, record: ComponentRecord, on_stage: StageCallback, *, digest: bool
) -> Iterator[Measured]:
    """Yields the arrays of a component with statistics; the component stays in memory meanwhile.

    With `digest`, the hash of the arrays is checked first.

    Raises:
        CheckpointMismatch: if they cannot be read, or differ from those that were saved.
    """
    name = record.name
    on_stage(f"{name}: reading")
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        params = jax.tree.map(np.asarray, saved.load([name], verify=False)[name])
    if digest and record.digest:
        on_stage(f"{name}: hash of its arrays")
        if hashing.hash_arrays(params) != record.digest:
            raise CheckpointMismatch(
                saved.path, [f"arrays of {name} differ from those that were saved"]
            )
    # Stored tables are the arrays that stay float32 in half precision.
    half = leaves_by_path(structure(name, saved.config, "bfloat16").expected, name)
    for path, array in leaves_by_path(params, name).items():
        on_stage(path)
        found = measure(array)
        last, table = path.rsplit(".", 1)[-1], half[path].dtype == np.float32
        marked = marks(last, array.shape, found, shape(array, found), table=table)
        yield Measured(path, array.shape, str(array.dtype), found, tuple(marked))


def sizes(data: Any, prefix: str = "") -> list[str]:
    """The values in a section of the configuration, such as `layers 24`."""
    if not isinstance(data, dict):
        text = " ".join(map(str, data)) if isinstance(data, list) else str(data)
        return [f"{prefix} {text}"]
    return [
        line
        for key, value in data.items()
        for line in sizes(value, f"{prefix}.{key}" if prefix else key)
    ]
