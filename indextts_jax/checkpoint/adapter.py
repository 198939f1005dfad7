"""Adapters on disk: low-rank changes (LoRA) to some kernels of a checkpoint.

    write_adapter("anna", {"gpt": tree}, alpha=32.0, base=checkpoint.provenance)
    adapter = read_adapter("anna")
    adapter.trees["gpt"]["blocks"]["attention"]["qkv"]["kernel"]["down"]

An adapter is a directory with two files: the factors (`adapter.safetensors`, named by the dotted
path of the kernel plus `.down` or `.up`), and their record (`adapter.json`). A change is `alpha /
rank * down @ up`; stacked kernels have stacked factors.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.errors import InputError
from indextts_jax.models.components import Params
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import check_only, put_in_place, staging
from indextts_jax.utils.hashing import Version, hash_arrays
from indextts_jax.utils.paths import user_path
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1
RECORD, ARRAYS = "adapter.json", "adapter.safetensors"
DOWN, UP = "down", "up"  # (..., in, rank) and (..., rank, out)
ADAPTED = ("gpt", "dit")  # components whose kernels may be changed
LICENCE = (
    "made from the published IndexTTS weights, whose bilibili Model Use License also covers it"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BaseComponent:
    """A component of the checkpoint that an adapter changes."""

    name: str
    digest: str  # SHA-256 of its arrays


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AdapterRecord:
    """The metadata of an adapter."""

    format: int
    created: str  # UTC, ISO 8601
    base: tuple[BaseComponent, ...]
    rank: int
    alpha: float
    paths: tuple[str, ...]  # of the kernels
    recipe: str  # of its training
    licence: str
    versions: tuple[Version, ...]
    digest: str  # SHA-256 of its arrays
    record: str = ""  # SHA-256 of the rest of this record; empty in adapters of older programs


@dataclasses.dataclass(frozen=True)
class Adapter:
    """An adapter in memory."""

    path: Path
    record: AdapterRecord
    trees: Mapping[str, Params]
    """By component, nested like its parameters, with `down` and `up` instead of each kernel."""

    @property
    def scale(self) -> float:
        """The factor of every change."""
        return self.record.alpha / self.record.rank


def is_adapter(folder: Path) -> bool:
    """Whether a directory looks like an adapter of this program."""
    return (folder / RECORD).is_file() and (folder / ARRAYS).is_file()


def _is_nothing_else(folder: Path) -> bool:
    if not is_adapter(folder):
        return False
    check_only(folder, (RECORD, ARRAYS), "an adapter")
    return True


def licence_of(base: Provenance) -> str:
    """The licence note for what is made from a checkpoint; empty without published sources."""
    return LICENCE if base.sources else ""


def make_adapter(
    path: str | Path,
    trees: Mapping[str, Any],
    *,
    alpha: float,
    base: Provenance,
    recipe: str = "",
    dtype: str | None = None,
) -> Adapter:
    """An adapter in memory, from trained factors; nothing is written.

    Args:
        path: its path, for its name and messages.
        trees: as in `Adapter`, but integer keys may be strings.
        alpha: the scale times the rank.
        base: of the checkpoint that it was trained on.
        recipe: name of the training recipe.
        dtype: of the factors; by default unchanged.

    Raises:
        InputError: if the factors do not fit each other, or the base lacks a component.
    """
    flat = {
        name: np.asarray(array, None if dtype is None else np.dtype(dtype))
        for name, array in _flatten(trees).items()
    }
    paths = _kernels(flat, str(path))
    digests = {part.name: part.digest for part in base.components}
    if missing := [name for name in trees if name not in digests]:
        raise InputError(f"{path} changes {', '.join(missing)}, which its base does not have")
    record = AdapterRecord(
        format=FORMAT,
        created=hashing.now(),
        base=tuple(BaseComponent(name=name, digest=digests[name]) for name in trees),
        rank=flat[f"{paths[0]}.{DOWN}"].shape[-1],
        alpha=float(alpha),
        paths=paths,
        recipe=recipe,
        licence=licence_of(base),
        versions=hashing.versions(),
        digest=hash_arrays(flat),
    )
    record = dataclasses.replace(record, record=_sum_of(record))
    return Adapter(Path(path), record, _nest(flat))


def write_adapter(
    path: str | Path,
    trees: Mapping[str, Any],
    *,
    alpha: float,
    base: Provenance,
    recipe: str = "",
    dtype: str | None = None,
    force: bool = False,
) -> AdapterRecord:
    """Writes an adapter atomically; see `make_adapter`. `force` replaces an existing one.

    Raises:
        InputError: if the destination exists, or the factors do not fit.
    """
    made = make_adapter(path, trees, alpha=alpha, base=base, recipe=recipe, dtype=dtype)
    target = user_path(path, "the adapter").absolute()
    with staging(target, force=force, ours=_is_nothing_else) as stage:
        folder = stage / "adapter"
        folder.mkdir()
        flat = {name: np.ascontiguousarray(a) for name, a in _flatten(made.trees).items()}
        (folder / ARRAYS).write_bytes(safetensors.numpy.save(flat))
        text = json.dumps(to_data(made.record), indent=1, ensure_ascii=False)
        (folder / RECORD).write_text(text + "\n", encoding="utf-8")
        put_in_place(stage, folder, target)
    return made.record


def read_adapter(path: str | Path) -> Adapter:
    """Reads an adapter from its directory.

    Raises:
        InputError: if it is missing, damaged or of another format.
    """
    folder = user_path(path, "the adapter")
    if not is_adapter(folder):
        kind = "is not an adapter" if folder.exists() else "does not exist"
        raise InputError(f"{path} {kind}: expected a directory with {RECORD} and {ARRAYS}")
    record = _read_record(folder / RECORD)
    try:
        flat = _arrays((folder / ARRAYS).read_bytes())
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{folder / ARRAYS} is damaged: {error!s:.120}") from error
    if (found := hash_arrays(flat)) != record.digest:
        raise InputError(
            f"{folder / ARRAYS} is damaged: expected arrays with SHA-256 "
            f"{record.digest[:12]}, got {found[:12]}"
        )
    if _kernels(flat, str(folder)) != record.paths:
        raise InputError(f"{folder} is damaged: {RECORD} names other kernels than {ARRAYS}")
    return Adapter(folder, record, _nest(flat))


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; its NumPy reader does not support bfloat16."""
    kinds = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
    return {
        name: np.frombuffer(part["data"], kinds[part["dtype"]]).reshape(part["shape"])
        for name, part in safetensors.deserialize(data)
    }


def _read_record(path: Path) -> AdapterRecord:
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("format") != FORMAT:
            raise InputError(
                f"{path.parent} is an adapter of format {data.get('format')!r:.20}; this program "
                f"reads format {FORMAT}"
            )
        record = from_data(AdapterRecord, data)
    except (ConfigError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error!s:.200}") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error!s:.120}") from error
    if record.record not in ("", _sum_of(record)):
        raise InputError(f"{path} is damaged: its SHA-256 is not the recorded one")
    if record.rank < 1 or not record.paths:
        raise InputError(f"{path} is damaged: rank {record.rank}, {len(record.paths)} kernels")
    return record


def _sum_of(record: AdapterRecord) -> str:
    return hashing.digest(to_data(dataclasses.replace(record, record="")))


def _kernels(flat: Mapping[str, np.ndarray], where: str) -> tuple[str, ...]:
    """The paths of the changed kernels, sorted.

    Raises:
        InputError: for a factor without its counterpart, or of another rank; for a component that
            cannot be adapted.
    """
    paths = sorted({name.rpartition(".")[0] for name in flat})
    problems = []
    ranks = set()
    for path in paths:
        down, up = flat.get(f"{path}.{DOWN}"), flat.get(f"{path}.{UP}")
        if path.split(".")[0] not in ADAPTED:
            problems.append(f"{path} is not a kernel of {' or '.join(ADAPTED)}")
        elif down is None or up is None or len(flat) != 2 * len(paths):
            problems.append(f"{path} does not have both {DOWN} and {UP}")
        elif down.ndim < 2 or down.shape[:-2] != up.shape[:-2] or down.shape[-1] != up.shape[-2]:
            problems.append(f"{path}: {DOWN} {down.shape} does not fit {UP} {up.shape}")
        else:
            ranks.add(down.shape[-1])
    if len(ranks) > 1:
        problems.append(f"several ranks: {', '.join(map(str, sorted(ranks)))}")
    if problems or not paths:
        raise InputError(f"{where}: {'; '.join(problems) or 'no kernels are changed'}")
    return tuple(paths)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat |= _flatten(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return flat


def _nest(flat: Mapping[str, np.ndarray]) -> dict[str, Params]:
    """Nests arrays given by dotted path; numeric keys become integers."""
    tree: dict[str, Any] = {}
    for name, array in flat.items():
        *parents, last = (int(key) if key.isdigit() else key for key in name.split("."))
        place: dict[Any, Any] = tree
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = array
    return tree
