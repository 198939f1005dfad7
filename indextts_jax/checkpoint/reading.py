"""Opens and loads checkpoints: one Orbax directory per model, one checkpointable per component.

    saved = open_checkpoint("indextts2")
    params = saved.load(["gpt"])["gpt"]

The directory also holds the configuration, the tokenizer, and the provenance with the hash of every
file. `writing.py` saves checkpoints.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from indextts_jax.checkpoint import provenance
from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.config import RELEASES, ModelConfig, load_config
from indextts_jax.errors import InputError, gathered
from indextts_jax.models.components import EVERY, TRAINED, Params, structure
from indextts_jax.utils import hashing
from indextts_jax.utils.paths import user_path

CONFIG = "config.yaml"
EMOTION_TOKENIZER = "text_emotion_tokenizer.json"  # only with that component
ALIGNMENT = "alignment.json"  # written later, by python -m indextts_jax.align
SETTINGS = "settings.yaml"  # only if the model's defaults differ from the reference's
INDEX, MARKER = "_CHECKPOINT_METADATA", "orbax.checkpoint"


class CheckpointMismatch(InputError):
    """A checkpoint differs from its records or its configuration; all differences are listed."""

    def __init__(self, path: Path, problems: Sequence[str]):
        self.problems = tuple(problems)
        super().__init__(gathered(f"loading {path}", problems))


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk; opening it reads no arrays."""

    path: Path
    config: ModelConfig
    provenance: Provenance
    tokenizer: bytes

    @property
    def components(self) -> tuple[str, ...]:
        """Names of its components."""
        return tuple(record.name for record in self.provenance.components)

    @property
    def settings(self) -> bytes | None:
        """The file of the model's default settings, or None."""
        if SETTINGS not in {record.name for record in self.provenance.files}:
            return None
        return (self.path / SETTINGS).read_bytes()

    @property
    def alignment(self) -> bytes | None:
        """The file of the heads that follow the text, or None; see `checkpoint.alignment`."""
        path = self.path / ALIGNMENT
        return path.read_bytes() if path.is_file() else None

    @property
    def emotion_tokenizer(self) -> bytes:
        """The file of the text-to-emotion model's tokenizer.

        Raises:
            InputError: if the checkpoint has none.
        """
        if EMOTION_TOKENIZER not in {record.name for record in self.provenance.files}:
            raise InputError(f"{self.path} has no {EMOTION_TOKENIZER}")
        return (self.path / EMOTION_TOKENIZER).read_bytes()

    def load(self, names: Iterable[str] | None = None, *, verify: bool = True) -> dict[str, Params]:
        """Parameters by component, in the stored dtypes, on the default device.

        With `verify`, the hash of every file is checked first.

        Raises:
            InputError: if a component is missing, damaged, or does not fit the configuration;
                naming every array that differs.
        """
        wanted = self.components if names is None else tuple(names)
        self.require(wanted, sizes=verify)
        if verify:
            self.verify(wanted)
        return {name: self._load(name) for name in wanted}

    def require(self, names: Iterable[str], *, sizes: bool = True) -> None:
        """Checks that components exist and their files have the recorded sizes; reads no contents.

        Raises:
            InputError: naming every component that was not imported.
            CheckpointMismatch: naming every directory or file that is missing or of another size.
        """
        wanted = tuple(names)
        missing = [name for name in wanted if name not in self.components]
        if untrained := [name for name in missing if name in TRAINED]:
            raise InputError(
                f"{self.path} has no {', '.join(untrained)}: train it, then write it with python "
                "-m indextts_jax.export"
            )
        if missing:
            raise InputError(
                f"{self.path} has no {', '.join(missing)}; import again with python -m "
                f"indextts_jax.import --components {','.join((*self.components, *missing))}"
            )
        problems = []
        for record in self.provenance.components:
            folder = self.path / record.name
            if record.name not in wanted:
                continue
            if not folder.is_dir():
                problems.append(f"missing: the directory {record.name}")
            elif sizes:
                problems += hashing.differences(folder, record.files, hashes=False)
        if problems:
            raise CheckpointMismatch(self.path, problems)

    def verify(self, names: Iterable[str] | None = None) -> None:
        """Compares every file with its recorded hash.

        Raises:
            CheckpointMismatch: naming every file that is missing or damaged.
        """
        wanted = self.components if names is None else tuple(names)
        problems = hashing.differences(self.path, self.provenance.files)
        for record in self.provenance.components:
            if record.name in wanted:
                problems += hashing.differences(self.path / record.name, record.files)
        if problems:
            raise CheckpointMismatch(self.path, problems)

    def stored(self) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
        """Stored shapes and dtypes by component and dotted path; no arrays are read.

        Components without metadata are left out.

        Raises:
            CheckpointMismatch: if the metadata cannot be read.
        """
        with quiet():
            try:
                held = ocp.checkpointables_metadata(self.path).metadata
            except Exception as error:  # Orbax passes on any error of its storage layers
                raise self._unreadable(", ".join(self.components), error) from error
        return {
            name: {
                path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
                for path, leaf in leaves_by_path(held[name], name).items()
            }
            for name in self.components
            if held.get(name)
        }

    def _unreadable(self, name: str, reason: object) -> CheckpointMismatch:
        words = " ".join(str(reason).split())[:300]
        return CheckpointMismatch(self.path, [f"{name} cannot be read: {words}"])

    def _load(self, name: str) -> Params:
        expected = structure(name, self.config, self.provenance.dtype).expected
        device = jnp.zeros(()).sharding  # of the default device, which a context may set
        abstract = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), expected
        )
        with quiet():
            try:
                if problems := compare_trees(name, _held(self.path, name), expected):
                    raise CheckpointMismatch(self.path, problems)
                return ocp.load_checkpointables(self.path, {name: abstract})[name]
            except CheckpointMismatch:
                raise
            except Exception as error:  # Orbax passes on any error of its storage layers
                raise self._unreadable(name, error) from error


def _held(path: Path, name: str) -> Any:
    """Orbax's metadata of one component's arrays; None if it is not part of the directory."""
    try:
        return ocp.metadata(path, name).metadata  # faster: reads only this component's
    except Exception:  # Orbax passes on any error of its storage layers
        return ocp.checkpointables_metadata(path).metadata.get(name)


def leaves_by_path(tree: Any, prefix: str) -> dict[str, Any]:
    """Leaves by dotted path; Orbax returns integer keys as strings, which this hides."""
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(leaves_by_path(value, f"{prefix}.{key}"))
    return flat


def compare_trees(name: str, held: Any, expected: Params) -> list[str]:
    """Every array that is missing, unexpected, or has another shape or dtype."""
    if held is None:
        return [f"missing: {name} is not part of the Orbax directory"]
    ours, theirs = leaves_by_path(expected, name), leaves_by_path(held, name)
    problems = [f"missing: {path} {ours[path].shape}" for path in ours if path not in theirs]
    problems += [f"unexpected: {path}" for path in theirs if path not in ours]
    for path in ours.keys() & theirs.keys():
        shape, dtype = getattr(theirs[path], "shape", ()), getattr(theirs[path], "dtype", None)
        if tuple(shape) != ours[path].shape:
            problems.append(f"shape of {path}: {tuple(shape)}, expected {ours[path].shape}")
        elif dtype != ours[path].dtype:
            problems.append(f"dtype of {path}: {dtype}, expected {ours[path].dtype}")
    return problems


def is_checkpoint(folder: Path) -> bool:
    """Whether a directory looks like a checkpoint of this program."""
    return not _lacking(folder)


def _lacking(folder: Path) -> list[str]:
    return [name for name in (provenance.FILE, MARKER) if not (folder / name).is_file()]


def check_name(folder: Path) -> None:
    """Checks that a name is UTF-8, in which the library of checkpoints passes names on.

    Raises:
        InputError: for a name in another encoding, or a locale that cannot represent it.
    """
    try:
        same = str(folder).encode("utf-8") == os.fsencode(folder)
    except UnicodeEncodeError:
        same = False
    if not same:
        raise InputError(
            f"{folder}: its name is not UTF-8 in this locale; set PYTHONUTF8=1 or "
            "LC_ALL=C.UTF-8, or rename it"
        )


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Opens a checkpoint: its configuration, tokenizer and provenance, but no arrays.

    Raises:
        InputError: if the directory is not a checkpoint, or is damaged or of another format.
    """
    folder = user_path(path, "the checkpoint").absolute()
    check_name(folder)
    if not folder.is_dir():
        kind = "is not a directory" if folder.exists() else "does not exist"
        raise InputError(f"{path} {kind}; python -m indextts_jax.import makes a checkpoint")
    if lacking := _lacking(folder):
        raise InputError(
            f"{path} is not a checkpoint ({lacking[0]} is missing); python -m indextts_jax.import "
            "makes one from the published files"
        )
    record = provenance.read(folder)
    if problems := hashing.differences(folder, record.files):
        raise CheckpointMismatch(folder, problems)
    unknown = [part.name for part in record.components if part.name not in EVERY]
    if unknown:
        raise InputError(f"{path} has unknown components: {', '.join(unknown)}")
    config = load_config(folder / CONFIG)
    tokenizer = RELEASES[config.version].tokenizer
    if tokenizer not in {file.name for file in record.files}:
        raise InputError(f"{path} is damaged: it has no {tokenizer}")
    return Checkpoint(folder, config, record, (folder / tokenizer).read_bytes())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Stops Orbax from logging tracebacks of errors that we report ourselves.

    With a new filter each time, as concurrent threads would restore each other's log level.
    """
    logger = logging.getLogger("absl")

    def grave(entry: logging.LogRecord) -> bool:
        return entry.levelno >= logging.CRITICAL

    logger.addFilter(grave)
    try:
        yield
    finally:
        logger.removeFilter(grave)
