"""Computes missing features in batches of clips of similar length."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import Failure
from indextts_jax.runtime.buckets import bucket
from indextts_jax.runtime.model import Model
from indextts_jax.training.data import features, flow_mels
from indextts_jax.training.data.alignment import Labels, align
from indextts_jax.training.data.features import Coded, Signals
from indextts_jax.training.data.index import FEATURES, Row
from indextts_jax.training.data.job import Progress
from indextts_jax.training.data.rows.manifest import Clip, Recording
from indextts_jax.training.data.rows.recording import Measured, signal
from indextts_jax.training.data.shards import Shards
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.hashing import digest

T = TypeVar("T")
K = TypeVar("K", int, tuple[int, int])  # padded sizes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A clip, and its array names by feature."""

    clip: Clip
    measured: Measured
    tokens: tuple[int, ...]
    features: int  # semantic features
    codes: int
    row: Row
    names: Mapping[str, str]
    lone: bool = False  # its own prompt: conditioning latents come from its first half
    labels: Labels | None = None  # for the alignment of its codes, if possible

    @property
    def halved(self) -> Measured:
        """The clip's first half."""
        middle = (self.measured.first + self.measured.last) // 2
        return dataclasses.replace(self.measured, last=middle)


Put = Callable[[Task, str, np.ndarray], None]  # stores an array of a feature


class Batching(NamedTuple):
    """How much is computed at once, and the progress callback."""

    seconds: float  # of padded audio in a batch
    on_progress: Progress


def make(
    tasks: Sequence[Task],
    shards: Shards,
    config: ModelConfig,
    model: Model | None,
    *,
    prompts: Mapping[str, "Task"],
    batch_seconds: float,
    workers: int,
    on_progress: Progress,
) -> dict[str, int]:
    """Computes the missing arrays into `shards`; returns the number computed for each feature.

    `prompts` gives for each row's id the clip whose conditioning the GPT's latents use.

    Raises:
        Failure: if a network gives numbers that are not finite.
    """
    made: dict[str, int] = defaultdict(int)

    def put(task: Task, feature: str, array: np.ndarray) -> None:
        if array.dtype.kind not in "iu" and not np.isfinite(array.astype(np.float32)).all():
            raise Failure(
                f"{task.clip.place}: its {feature} is not finite; leave the clip out, or check the "
                "model with python -m indextts_jax.validate"
            )
        made[feature] += task.names[feature] not in shards
        shards.put(task.names[feature], array)

    for task in tasks:
        if "text" in task.names and task.names["text"] not in shards:
            put(task, "text", np.asarray(task.tokens, np.int32))
    _from_audio(tasks, shards, config, model, put, batch_seconds, workers, on_progress)
    if model is not None:
        _emotion_prompts(tasks, shards, model, put)
        work = Batching(batch_seconds, on_progress)
        _alignments(tasks, shards, model, put, work)
        _latents(tasks, shards, model, prompts, put, work)
        _flow_mels(tasks, shards, model, prompts, put, work)
    shards.flush()
    return {feature: made[feature] for feature in FEATURES if made.get(feature)}


def missing(task: Task, shards: Shards) -> frozenset[str]:
    """Features of a task that are not stored."""
    return frozenset(feature for feature, name in task.names.items() if name not in shards)


def _from_audio(
    tasks: Sequence[Task],
    shards: Shards,
    config: ModelConfig,
    model: Model | None,
    put: Put,
    batch_seconds: float,
    workers: int,
    on_progress: Progress,
) -> None:
    groups: dict[tuple[int, frozenset[str], bool], list[Task]] = defaultdict(list)
    of_codes = frozenset(kind_of(config).INPUTS)
    for task in tasks:
        wanted = missing(task, shards) - of_codes - {"text", "emotion_prompt"}
        of_half = wanted & ({"conditioning"} if task.lone else set())
        if wanted - of_half:
            groups[bucket(task.features, features.LADDER), wanted - of_half, False].append(task)
        if of_half:
            groups[bucket(task.features // 2 + 1, features.LADDER), of_half, True].append(task)
    total = sum(map(len, groups.values()))
    batches = [
        (wanted, half, batch, rows)
        for (size, wanted, half), group in sorted(groups.items(), key=lambda item: item[0][0])
        for batch, rows in in_batches(group, size / features.RATE, batch_seconds)
    ]
    done = 0
    with ThreadPoolExecutor(max(1, workers)) as pool:

        def signals(item: tuple[frozenset[str], bool, list[Task], int]) -> Iterator[Signals]:
            wanted, half, batch, _ = item
            return pool.map(lambda task: _signals(task, config, wanted, half), batch)

        # Threads decode the next batch while the networks run on this one.
        for (wanted, _, batch, rows), heard in _ahead(batches, signals):
            clips = list(heard)
            for task, clip in zip(batch, clips, strict=True):
                for feature, array in clip.arrays.items():
                    put(task, feature, array)
            networks = [name for name in wanted if name in kind_of(config).NETWORKS]
            if networks and model is not None:
                results = features.network_features(model, clips, networks, rows)
                for task, result in zip(batch, results, strict=True):
                    for feature, array in result.items():
                        put(task, feature, array)
            done += len(batch)
            on_progress(done, total, f"features of {batch[-1].row.id[:24]}")


def _signals(task: Task, config: ModelConfig, wanted: frozenset[str], half: bool) -> Signals:
    wide = signal(task.clip, task.halved if half else task.measured, config.mel.sample_rate)
    return features.host_features(wide, config, wanted)


def _ahead(
    items: Sequence[T], start: Callable[[T], Iterator[Signals]]
) -> Iterator[tuple[T, Iterator[Signals]]]:
    """Yields each item with its future, which was started one item ahead."""
    if not items:
        return
    begun = start(items[0])
    for item, following in itertools.zip_longest(items, items[1:]):
        current, begun = begun, start(following) if following is not None else iter(())
        yield item, current


def in_batches(
    group: Sequence[Task], seconds: float, batch_seconds: float
) -> Iterator[tuple[list[Task], int]]:
    """Batches of tasks with padded row counts: powers of two, to compile few programs."""
    most = 1
    while 2 * most * seconds <= batch_seconds and most < len(group):
        most *= 2
    for start in range(0, len(group), most):
        yield list(group[start : start + most]), most


def _emotion_prompts(
    tasks: Sequence[Task],
    shards: Shards,
    model: Model,
    put: Put,
) -> None:
    for task in tasks:
        recording: Recording | None = task.clip.emotion
        if recording is not None and "emotion_prompt" in missing(task, shards):
            put(task, "emotion_prompt", features.emotion_of(model, recording))


def _alignments(
    tasks: Sequence[Task], shards: Shards, model: Model, put: Put, work: Batching
) -> None:
    wanted = [task for task in tasks if "alignment" in missing(task, shards)]
    for task in wanted:
        if task.labels is None:  # stored as empty: reported, and not guided in training
            put(task, "alignment", np.zeros(0, np.uint16))
    groups = _grouped(
        [task for task in wanted if task.labels is not None],
        lambda task: bucket(task.codes, features.LADDER),
    )

    def compute(batch: list[Task], rows: int) -> list[np.ndarray]:
        codes = [shards[task.names["codes"]] for task in batch]
        logits = features.letter_logits(model, codes, rows)
        pairs = zip(batch, logits, strict=True)
        return [align(one, task.labels) for task, one in pairs if task.labels is not None]

    _of_codes("alignment", groups, lambda size: size / features.RATE, compute, put, work)


def _latents(
    tasks: Sequence[Task],
    shards: Shards,
    model: Model,
    prompts: Mapping[str, Task],
    put: Put,
    work: Batching,
) -> None:
    groups = _grouped(
        [task for task in tasks if "latents" in missing(task, shards)],
        lambda task: (
            bucket(task.codes, features.LADDER),
            bucket(len(task.tokens), model.buckets.text),
        ),
    )

    def coded(task: Task) -> Coded:
        prompt = prompts[task.row.id]
        return Coded(
            conditioning=shards[prompt.names["conditioning"]],
            emotion=shards[prompt.names["emotion"]],
            text=shards[task.names["text"]],
            codes=shards[task.names["codes"]],
        )

    def compute(batch: list[Task], rows: int) -> list[np.ndarray]:
        return features.code_latents(model, [coded(task) for task in batch], rows)

    _of_codes("latents", groups, lambda sizes: sizes[0] / features.RATE, compute, put, work)


def _flow_mels(
    tasks: Sequence[Task],
    shards: Shards,
    model: Model,
    prompts: Mapping[str, Task],
    put: Put,
    work: Batching,
) -> None:
    groups = _grouped(
        [task for task in tasks if "flow_mel" in missing(task, shards)],
        lambda task: bucket(task.row.frames, model.buckets.frames),
    )
    rate = model.config.mel.sample_rate / model.config.mel.hop

    def coded(task: Task) -> flow_mels.Coded:
        prompt = prompts[task.row.id]
        return flow_mels.Coded(
            codes=shards[task.names["codes"]],
            latents=shards[task.names["latents"]] if "latents" in task.names else None,
            frames=len(shards[task.names["mel"]]),
            prompt=shards[prompt.names[kind_of(model.config).PROMPT]],
            prompt_mel=shards[prompt.names["mel"]],
            prompt_style=shards[prompt.names["style"]],
            seed=int(digest([task.row.id])[:7], 16),
        )

    def compute(batch: list[Task], rows: int) -> list[np.ndarray]:
        return flow_mels.flow_mels(model, [coded(task) for task in batch], rows)

    _of_codes("flow_mel", groups, lambda size: size / rate, compute, put, work)


def _grouped(tasks: Iterable[Task], size: Callable[[Task], K]) -> dict[K, list[Task]]:
    """Tasks by padded size, so that each batch has one shape."""
    groups: dict[K, list[Task]] = defaultdict(list)
    for task in tasks:
        groups[size(task)].append(task)
    return groups


def _of_codes(
    feature: str,
    groups: Mapping[K, list[Task]],
    seconds: Callable[[K], float],
    compute: Callable[[list[Task], int], Sequence[np.ndarray]],
    put: Put,
    work: Batching,
) -> None:
    """Computes a feature of codes in batches; `compute` gets one, with its padded rows."""
    done, total = 0, sum(map(len, groups.values()))
    for size, group in sorted(groups.items()):
        for batch, rows in in_batches(group, seconds(size), work.seconds):
            for task, array in zip(batch, compute(batch, rows), strict=True):
                put(task, feature, array)
            done += len(batch)
            work.on_progress(done, total, f"{feature} of {batch[-1].row.id[:24]}")
