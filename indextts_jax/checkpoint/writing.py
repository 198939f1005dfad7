"""Saves checkpoints atomically, one component at a time."""

import json
import math
import os
import re
import shutil
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import yaml
from orbax.checkpoint import v1 as ocp

from indextts_jax.checkpoint import provenance
from indextts_jax.checkpoint.provenance import ComponentRecord, Provenance
from indextts_jax.checkpoint.reading import (
    ALIGNMENT,
    CONFIG,
    EMOTION_TOKENIZER,
    INDEX,
    MARKER,
    SETTINGS,
    Checkpoint,
    CheckpointMismatch,
    check_name,
    compare_trees,
    is_checkpoint,
    quiet,
)
from indextts_jax.config import RELEASES, ModelConfig
from indextts_jax.errors import Failure
from indextts_jax.models.components import EVERY, Params, structure
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import (
    await_writers,
    check_free,
    check_only,
    link_folder,
    persistently,
    put_in_place,
    staging,
)
from indextts_jax.utils.hashing import FileHash
from indextts_jax.utils.strict_data import to_data

TOKENIZERS = tuple(release.tokenizer for release in RELEASES.values())
FILES = (CONFIG, *TOKENIZERS, EMOTION_TOKENIZER, SETTINGS)


class CheckpointError(Failure):
    """Raised when a checkpoint cannot be written; the message says where and why."""


def check_destination(path: str | Path, *, force: bool = False) -> None:
    """Checks that a checkpoint may be written to a path.

    Raises:
        InputError: if the path exists; with `force`, if it is not a checkpoint, or holds something
            else.
    """
    check_free(Path(path).absolute(), force=force, ours=_is_nothing_else)


def _is_nothing_else(folder: Path) -> bool:
    """Whether a directory is a checkpoint, and holds nothing that is not a part of it.

    Raises:
        InputError: naming what else it holds, which would be removed with it.
    """
    if not is_checkpoint(folder):
        return False
    check_only(folder, (provenance.FILE, INDEX, MARKER, ALIGNMENT, *FILES, *EVERY), "a checkpoint")
    return True


def save(
    path: str | Path,
    *,
    config: ModelConfig,
    tokenizer: bytes,
    components: Iterable[tuple[str, Params]],
    dtype: str = "float32",
    sources: Iterable[FileHash] = (),
    ignored: Sequence[str] = (),
    force: bool = False,
    emotion_tokenizer: bytes | None = None,
    settings: bytes | None = None,
    base: Checkpoint | None = None,
    kept: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Provenance:
    """Writes a checkpoint; consumes and writes `components` one by one, then consumes `sources`.

    With `base`, a checkpoint at the same path, the components `kept` are reused: their files are
    verified and hard-linked, so no array is copied.

    Everything is written beside the destination, which is then renamed into place. A failure or a
    signal leaves nothing behind; remains of a killed process are removed by the next one.

    Raises:
        InputError: if the destination exists (with `force`: and is not a checkpoint), cannot be
            written, or is being written by another process.
        CheckpointError: if writing fails.
    """
    target = Path(path).absolute()
    check_name(target)
    with staging(target, force=force or base is not None, ours=_is_nothing_else) as stage:
        model = stage / "model"
        model.mkdir()
        records: list[ComponentRecord] = []
        index: dict[str, Any] = {}
        if base is not None:
            base.verify(kept)
            index = _take_over(base, kept, model)
            records += [record for record in base.provenance.components if record.name in kept]
        for name, params in components:
            index = _save_component(stage, model, name, params, index)
            records.append(_record(model / name, name, params))
            del params
        if base is not None:
            records.sort(key=lambda record: EVERY.index(record.name))
        files = {CONFIG: yaml.safe_dump(to_data(config), sort_keys=False).encode()}
        files[RELEASES[config.version].tokenizer] = tokenizer
        if emotion_tokenizer is not None:
            files[EMOTION_TOKENIZER] = emotion_tokenizer
        if settings is not None:
            files[SETTINGS] = settings
        try:
            for name, data in files.items():
                (model / name).write_bytes(data)
            (model / INDEX).write_text(json.dumps(index), encoding="utf-8")
            (model / MARKER).touch()
            record = Provenance(
                format=provenance.FORMAT,
                created=hashing.now(),
                dtype=dtype,
                sources=tuple(sources),
                ignored=tuple(ignored),
                notes=tuple(dict.fromkeys((*(base.provenance.notes if base else ()), *notes))),
                versions=hashing.versions(),
                files=tuple(hashing.hash_file(model / name) for name in files),
                components=tuple(records),
            )
            provenance.write(model, record)
            if base is not None and "gpt" in kept and (heads := base.alignment) is not None:
                (model / ALIGNMENT).write_bytes(heads)  # it belongs to the same GPT
            if base is not None:
                _check_whole(model, record, config, kept)
            put_in_place(stage, model, target)
        except OSError as error:
            raise CheckpointError(f"cannot write {target}: {error.strerror or error}") from error
    return record


def _take_over(base: Checkpoint, kept: Sequence[str], model: Path) -> dict[str, Any]:
    """Hard-links the files of some components; returns Orbax's index of these."""
    index = json.loads((base.path / INDEX).read_text(encoding="utf-8"))
    handlers = index.get("item_handlers", {})
    for name in kept:
        try:
            link_folder(base.path / name, model / name)
        except OSError as error:
            raise CheckpointError(f"cannot copy {name}: {error.strerror or error}") from error
    return index | {"item_handlers": {name: handlers[name] for name in kept if name in handlers}}


def _check_whole(model: Path, record: Provenance, config: ModelConfig, kept: Sequence[str]) -> None:
    """Checks that an assembled checkpoint has all its components, and the new ones as expected.

    Reused components are the same files as before and need no check.
    """
    with quiet():
        held = ocp.checkpointables_metadata(model).metadata
    problems = []
    for name in (part.name for part in record.components):
        if name not in kept:
            problems += compare_trees(
                name, held.get(name), structure(name, config, record.dtype).expected
            )
        elif held.get(name) is None:
            problems += compare_trees(name, None, {})
    if problems:
        raise CheckpointMismatch(model, problems)


def _record(folder: Path, name: str, params: Params) -> ComponentRecord:
    arrays = jax.tree.leaves(params)
    return ComponentRecord(
        name=name,
        parameters=sum(math.prod(array.shape) for array in arrays),
        bytes=sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays),
        files=hashing.hash_folder(folder),
        digest=hashing.hash_arrays(params),
    )


def _save_component(
    stage: Path, model: Path, name: str, params: Params, index: dict[str, Any]
) -> dict[str, Any]:
    """Saves one component and moves it to the others; returns the index of all so far."""
    part = stage / "parts" / name
    part.parent.mkdir(exist_ok=True)
    failure: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        context = ocp.Context()
        # Compression saves a tenth of the space, but doubles the time and adds half the memory.
        context.array.saving.use_compression = False
        try:
            with context:
                ocp.save_checkpointables(part, {name: params})
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    # In its own thread, so that after a signal we can still wait for the writers. (Not with
    # `Thread.join`: once interrupted, it takes the thread for finished.)
    thread = threading.Thread(target=run, name=f"save {name}")
    with quiet():
        try:
            thread.start()
            done.wait()
        finally:
            persistently(lambda: thread.ident is None or done.wait())
    if failure:
        await_writers(stage)
        raise CheckpointError(
            f"cannot write {name} in {stage.parent}: {reason_of(failure[0])}"
        ) from failure[0]
    written = json.loads((part / INDEX).read_text(encoding="utf-8"))
    handlers = index.get("item_handlers", {}) | written["item_handlers"]
    (part / name).rename(model / name)
    shutil.rmtree(part)
    return written | {"item_handlers": handlers}


def reason_of(error: BaseException) -> str:
    """The system's message if Orbax quotes an error number, else Orbax's, on one line."""
    said = " ".join(str(error).split())
    number = re.search(r"os_error_code='(\d+)'", said)
    posix = os.name == "posix"
    return os.strerror(int(number[1])) if number and posix else said[:300]
