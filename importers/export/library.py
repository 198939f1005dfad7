"""Exports from Python: writes a checkpoint, published files or an adapter."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from importers.export.peft import write_peft
from importers.export.published import FileReport, with_base, without_base
from importers.export.source import Source
from importers.release.locate import AUXILIARY
from indextts_jax.checkpoint import adapter as adapters
from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import DTYPES
from indextts_jax.emotion.reader import COMPONENT as WORDS
from indextts_jax.engine.settings import settings_of
from indextts_jax.errors import InputError
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import check_only, files_below, put_in_place, staging
from indextts_jax.utils.paths import user_path
from indextts_jax.utils.strict_data import to_data
from indextts_jax.utils.text_table import table

CHECKPOINT, PUBLISHED, ADAPTER = TARGETS = ("checkpoint", "published", "adapter")
OURS, PEFT = FORMATS = ("ours", "peft")
RECORD = "export.json"  # what an exported directory says about itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Destination and form; each field is also a flag of `python -m indextts_jax.export`."""

    to: str
    dst: str | Path
    base: str | Path | None = None
    format: str = OURS
    dtype: str | None = None  # of the adapter's factors or the weights; None: unchanged
    settings: str | Path | None = None  # of a checkpoint: a YAML file that replaces its settings
    force: bool = False
    w2v_bert: str | Path | None = None
    semantic_codec: str | Path | None = None
    campplus: str | Path | None = None
    bigvgan: str | Path | None = None
    text_emotion: str | Path | None = None


@dataclasses.dataclass(frozen=True)
class Exported:
    """The result of an export; `str` gives what the command prints."""

    path: Path
    files: tuple[FileReport, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A table of the files, and a line for each note."""
        rows = [(file.name, file.arrays, file.written) for file in self.files]
        shown = [table(("file", "arrays", "rewritten"), rows)] if rows else []
        notes = [f"{file.name}: {file.note}" for file in self.files if file.note]
        return "\n".join([*shown, *notes, *self.notes, f"wrote {self.path}"])


def export(source: Source, options: ExportOptions) -> Exported:
    """Exports as the options say.

    Raises:
        InputError: for a source or a base that cannot be used, or a destination that is taken.
    """
    check(options)
    write = {CHECKPOINT: _checkpoint, PUBLISHED: _published, ADAPTER: _adapter}[options.to]
    # Arrays are rearranged, little is computed: no accelerator is needed.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return write(source, options)


def check(options: ExportOptions) -> None:
    """Checks that the options are consistent.

    Raises:
        InputError: if they contradict each other.
    """
    if options.to not in TARGETS:
        raise InputError(f"to must be one of {', '.join(TARGETS)}, got {options.to!r}", "to")
    if options.base is not None and options.to != PUBLISHED:
        raise InputError(f"base requires to={PUBLISHED}, got {options.to}", "base")
    if options.to != ADAPTER and options.format != OURS:
        raise InputError("format applies only to an adapter", "format")
    if options.to == PUBLISHED and options.dtype is not None:
        raise InputError("published files keep their own dtype: dtype must not be given", "dtype")
    if options.to != CHECKPOINT and options.settings is not None:
        raise InputError(f"settings requires to={CHECKPOINT}, got {options.to}", "settings")
    if options.dtype not in (None, *DTYPES):
        raise InputError(
            f"dtype must be one of {', '.join(DTYPES)}, got {options.dtype!r:.40}", "dtype"
        )
    flags = [name for name in (*AUXILIARY, WORDS) if getattr(options, name) is not None]
    if flags and options.base is None:
        raise InputError(f"{', '.join(flags)}: only valid with a base", *flags)


def _is_export(folder: Path) -> bool:
    """Whether a directory is an export, and holds nothing that was not written by it.

    Raises:
        InputError: naming what else it holds, which would be removed with it.
    """
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    written = record.get("written") if isinstance(record, dict) else None
    if not isinstance(written, list) or not all(isinstance(name, str) for name in written):
        return False
    check_only(folder, (*written, RECORD), "an export", nested=True)
    return True


def _published(source: Source, options: ExportOptions) -> Exported:
    """Writes the published directory atomically."""
    target = user_path(options.dst, "dst").absolute()
    base = user_path(options.base, "base") if options.base is not None else None
    if base is not None and base.resolve().is_relative_to(target.resolve()):
        raise InputError(
            f"base {base} is inside {target}, where the export is to be written", "base"
        )
    flags: Mapping[str, str | Path | None] = {
        name: getattr(options, name) for name in (*AUXILIARY, WORDS)
    }
    notes = _notes(source)
    with staging(target, force=options.force, ours=_is_export) as stage:
        folder = stage / "published"
        folder.mkdir()
        if base is None:
            files = without_base(source, folder)
        else:
            files = with_base(source, base, folder, flags)
        _record(folder, source, files, notes)
        put_in_place(stage, folder, target)
    return Exported(user_path(options.dst, "dst"), tuple(files), notes)


def _record(
    folder: Path, source: Source, files: Sequence[FileReport], notes: Sequence[str]
) -> None:
    """Writes the record of what the directory was made from."""
    checkpoint = source.checkpoint
    data = {
        "created": hashing.now(),
        "source": Path(source.name).name,
        "checkpoint": checkpoint.provenance.fingerprint(checkpoint.components)
        if checkpoint is not None
        else None,
        "changed": list(source.changed),
        "adapters": [to_data(applied.use) for applied in source.adapters],
        "versions": [to_data(version) for version in hashing.versions()],
        "files": [to_data(file) for file in files],
        "notes": list(notes),
        "written": files_below(folder),
    }
    (folder / RECORD).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _notes(source: Source) -> tuple[str, ...]:
    changed = f"changed: {', '.join(source.changed) or 'nothing'}"
    licence = (f"licence: {source.licence}",) if source.licence else ()
    return (changed, *source.notes, *licence)


def _checkpoint(source: Source, options: ExportOptions) -> Exported:
    """Writes a checkpoint with what was trained or merged."""
    saved = source.checkpoint
    if saved is not None and saved.path == user_path(options.dst, "dst").absolute():
        raise InputError(f"dst {options.dst} is the checkpoint that is exported", "dst")
    words = saved is not None and WORDS in saved.components
    if options.dtype is not None:
        source = dataclasses.replace(source, stored_dtype=options.dtype)
    writing.save(
        options.dst,
        config=source.config,
        tokenizer=source.tokenizer,
        components=((name, source.stored(name)) for name in source.components),
        dtype=source.dtype,
        sources=source.origins,
        ignored=source.ignored,
        force=options.force,
        settings=_settings(options, saved),
        emotion_tokenizer=saved.emotion_tokenizer if saved is not None and words else None,
    )
    return Exported(user_path(options.dst, "dst"), notes=_notes(source))


def _settings(options: ExportOptions, saved: Checkpoint | None) -> bytes | None:
    """The checkpoint's default settings for synthesis; None for the reference's."""
    if options.settings is None:
        return None if saved is None else saved.settings
    try:
        data = user_path(options.settings, "settings").read_bytes()
    except OSError as error:
        raise InputError(f"settings {options.settings}: {error.strerror}", "settings") from error
    settings_of(data, str(options.settings))  # called only for its checks
    return data


def _adapter(source: Source, options: ExportOptions) -> Exported:
    """Writes an adapter, in our own format or in that of PEFT."""
    if len(source.adapters) != 1 or source.adapters[0].strength != 1:
        raise InputError(
            f"{source.name} gives {len(source.adapters)} adapters: expected one, at strength 1"
        )
    if source.checkpoint is None:
        raise InputError(f"{source.name} has no base checkpoint for an adapter")
    (applied,) = source.adapters
    record = applied.adapter.record
    target = user_path(options.dst, "dst").absolute()
    notes = (f"{len(record.paths)} kernels, rank {record.rank}", *_notes(source))
    if options.format == OURS:
        adapters.write_adapter(
            target,
            applied.adapter.trees,
            alpha=record.alpha,
            base=source.checkpoint.provenance,
            recipe=record.recipe,
            dtype=options.dtype,
            force=options.force,
        )
    else:
        with staging(target, force=options.force, ours=_is_export) as stage:
            folder = stage / "adapter"
            folder.mkdir()
            write_peft(folder, applied.adapter, source.config, options.dtype)
            _record(folder, source, (), notes)
            put_in_place(stage, folder, target)
    return Exported(user_path(options.dst, "dst"), notes=notes)
