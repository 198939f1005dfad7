"""Estimates a preparation: exact bytes, and the time extrapolated from one batch."""

import dataclasses
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from indextts_jax.config import ModelConfig
from indextts_jax.runtime.buckets import bucket
from indextts_jax.runtime.model import Model
from indextts_jax.training.data import features, making
from indextts_jax.training.data.job import Job
from indextts_jax.training.data.kept import read_before
from indextts_jax.training.data.making import Task
from indextts_jax.training.data.prepare import planned
from indextts_jax.training.data.prepared import SHARDS
from indextts_jax.training.data.rows.survey import Survey, sizes
from indextts_jax.training.data.shards import Shards
from indextts_jax.training.versions.interface import kind_of

TRIED = 8  # clips timed if no network runs


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The estimate of a preparation; `str` gives it as text."""

    clips: int  # with missing features
    bytes: int  # of missing arrays
    free: int  # free bytes on the disk
    seconds: float  # seconds of work without compiling
    compiling: float  # seconds; 0 without networks
    tried: int  # clips timed

    def __str__(self) -> str:
        """Time and disk."""
        if not self.clips:
            return "nothing to do: all features are present"
        short = "" if self.bytes < self.free else ": too little"
        compiling = f", and {_time(self.compiling)} to compile" if self.compiling else ""
        return (
            f"to prepare: features of {self.clips:,} clips\n"
            f"time: about {_time(self.seconds)}{compiling} (from {self.tried} clips)\n"
            f"disk: {self.bytes / 1e6:,.1f} MB, {self.free / 1e9:,.1f} GB are free{short}"
        )


def estimate(found: Survey, job: Job, config: ModelConfig, model: Model | None) -> Estimate:
    """Times one batch, whose results are discarded.

    Raises:
        InputError: for a clip that cannot be read.
        Failure: if a network gives numbers that are not finite.
    """
    before = read_before(job.dst, config)
    prints = before.prints if before else {}
    prints |= features.fingerprints(model, features.components_of(job.features, config.version))
    tasks, _ = planned(found, job, config, prints)
    shards = Shards(job.dst / SHARDS)
    waiting = [(task, making.missing(task, shards)) for task in tasks]
    waiting = [(task, missing) for task, missing in waiting if missing]
    size = sum(sum(sizes([task.row], missing, config).values()) for task, missing in waiting)
    existing = next(path for path in [job.dst, *job.dst.absolute().parents] if path.exists())
    free = shutil.disk_usage(existing).free
    if not waiting:
        return Estimate(0, 0, free, 0.0, 0.0, 0)
    batch, shapes = _batch(waiting, job, model is not None)
    took = [_try(batch, job, config, model) for _ in range(1 if model is None else 2)]
    share = sum(task.row.seconds for task, _ in waiting) / sum(one.row.seconds for one in batch)
    return Estimate(
        clips=len(waiting),
        bytes=size,
        free=free,
        seconds=took[-1] * share,
        compiling=max(0.0, took[0] - took[-1]) * shapes,
        tried=len(batch),
    )


def _batch(
    waiting: Sequence[tuple[Task, frozenset[str]]], job: Job, networks: bool
) -> tuple[list[Task], int]:
    """A batch of missing features at the most common length; and the number of shapes."""
    groups: dict[int, list[Task]] = defaultdict(list)
    for task, missing in waiting:
        wanted = dataclasses.replace(
            task, names={name: task.names[name] for name in task.names if name in missing}
        )
        groups[bucket(task.features, features.LADDER)].append(wanted)
    size, group = max(groups.items(), key=lambda item: len(item[1]))
    if not networks:
        every = [task for one in groups.values() for task in one]
        return every[:: max(1, len(every) // TRIED)][:TRIED], 0
    first, _ = next(making.in_batches(group, size / features.RATE, job.batch_seconds))
    return first, len(groups)


def _try(batch: Sequence[Task], job: Job, config: ModelConfig, model: Model | None) -> float:
    """Seconds for a batch; its arrays are written to a temporary directory."""
    # Each clip is its own prompt here, as the choice does not affect the time. The inputs of
    # features of codes have to exist.
    whole, inputs = [], kind_of(config).INPUTS
    for task in batch:
        needed = {name for feature in task.names for name in inputs.get(feature, ())}
        made_of = {name: f"{name}/{task.row.id}" for name in needed}
        whole.append(dataclasses.replace(task, names={**made_of, **task.names}))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        making.make(
            whole,
            Shards(Path(folder)),
            config,
            model,
            prompts={task.row.id: task for task in whole},
            batch_seconds=job.batch_seconds,
            workers=job.workers,
            on_progress=lambda done, of, what: None,
        )
        return time.perf_counter() - began


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
