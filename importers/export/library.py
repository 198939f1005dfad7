"""Exports from Python: options in, a checkpoint, published files or an adapter out."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from importers.export.peft import write_peft
from importers.export.published import FileReport, with_base, without_base
from importers.export.source import Source, open_source
from importers.release.locate import AUXILIARY
from indextts_jax.checkpoint import adapter as adapters
from indextts_jax.checkpoint import writing
from indextts_jax.emotion.reader import COMPONENT as WORDS
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime.adapters import AppliedAdapter
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import put_in_place, staging
from indextts_jax.utils.strict_data import to_data
from indextts_jax.utils.text_table import table

CHECKPOINT, PUBLISHED, ADAPTER = TARGETS = ("checkpoint", "published", "adapter")
OURS, PEFT = FORMATS = ("ours", "peft")
RECORD = "export.json"  # what an exported folder says about itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export and how; each field is also a flag of `python -m indextts_jax.export`."""

    to: str
    dst: str | Path
    checkpoint: str | Path | None = None
    run: str | Path | None = None
    base: str | Path | None = None
    format: str = OURS
    force: bool = False
    w2v_bert: str | Path | None = None
    semantic_codec: str | Path | None = None
    campplus: str | Path | None = None
    bigvgan: str | Path | None = None
    text_emotion: str | Path | None = None


@dataclasses.dataclass(frozen=True)
class Exported:
    """What became of an export; `str` gives what the command prints."""

    path: Path
    files: tuple[FileReport, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A table of the files, and a line for each note."""
        rows = [(file.name, file.arrays, file.written) for file in self.files]
        shown = [table(("file", "arrays", "written anew"), rows)] if rows else []
        notes = [f"{file.name}: {file.note}" for file in self.files if file.note]
        return "\n".join([*shown, *notes, *self.notes, f"wrote {self.path}"])


def export(options: ExportOptions, merged: Sequence[AppliedAdapter] = ()) -> Exported:
    """Exports what the options say, with adapters merged into it.

    Raises:
        InputError: for a source or a base that cannot be used, or a destination that is taken.
    """
    _check(options, merged)
    # Arrays are rearranged, little is computed: no accelerator is needed.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        if options.to == ADAPTER:
            return _adapter(options, merged)
        assert options.checkpoint is not None
        source = open_source(options.checkpoint, merged)
        write = _published if options.to == PUBLISHED else _checkpoint
        return write(options, source)


def _check(options: ExportOptions, merged: Sequence[AppliedAdapter]) -> None:
    if options.to not in TARGETS:
        raise InputError(f"to must be one of {', '.join(TARGETS)}, got {options.to!r}", "to")
    if bool(options.checkpoint) == bool(options.run):
        raise InputError("give run, a run of training, or checkpoint", "run", "checkpoint")
    if options.base is not None and options.to != PUBLISHED:
        raise InputError(f"base belongs to {PUBLISHED}, not to {options.to}", "base")
    if options.format != OURS and options.to != ADAPTER:
        raise InputError(f"format {options.format} is one of adapters", "format")
    flags = [name for name in (*AUXILIARY, WORDS) if getattr(options, name) is not None]
    if flags and options.base is None:
        raise InputError(f"{', '.join(flags)}: there is no base that it belongs to", *flags)


def _is_export(folder: Path) -> bool:
    return (folder / RECORD).is_file()


def _published(options: ExportOptions, source: Source) -> Exported:
    """The published folder, which appears at once or not at all."""
    target = Path(options.dst).absolute()
    base = Path(options.base) if options.base is not None else None
    if base is not None and base.resolve().is_relative_to(target.resolve()):
        raise InputError(f"base {base} lies in {target}, where the export is to be written", "base")
    flags: Mapping[str, str | Path | None] = {
        name: getattr(options, name) for name in (*AUXILIARY, WORDS)
    }
    with staging(target, force=options.force, ours=_is_export) as stage:
        folder = stage / "published"
        folder.mkdir()
        if base is None:
            files = without_base(source, folder)
        else:
            files = with_base(source, base, folder, flags)
        notes = _notes(source)
        _record(folder, source, files, notes)
        put_in_place(stage, folder, target)
    return Exported(Path(options.dst), tuple(files), tuple(notes))


def _record(
    folder: Path, source: Source, files: Sequence[FileReport], notes: Sequence[str]
) -> None:
    """What the folder was made of, beside its files."""
    held = [name for name in COMPONENTS if name in source.components]
    data = {
        "created": hashing.now(),
        "checkpoint": source.checkpoint.provenance.fingerprint(held),
        "adapters": [to_data(applied.use) for applied in source.adapters],
        "versions": [to_data(version) for version in hashing.versions()],
        "files": [to_data(file) for file in files],
        "notes": list(notes),
    }
    (folder / RECORD).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _notes(source: Source) -> list[str]:
    licence = adapters.licence_of(source.checkpoint.provenance)
    return [f"licence: {licence}"] if licence else []


def _checkpoint(options: ExportOptions, source: Source) -> Exported:
    """A checkpoint of ours, with whatever was trained or merged."""
    saved = source.checkpoint
    if saved.path == Path(options.dst).absolute():
        raise InputError(f"dst {options.dst} is the checkpoint that is exported", "dst")
    writing.save(
        options.dst,
        config=source.config,
        tokenizer=saved.tokenizer,
        components=((name, source.stored(name)) for name in source.components),
        dtype=source.dtype,
        sources=source.origins,
        ignored=saved.provenance.ignored,
        force=options.force,
        emotion_tokenizer=saved.emotion_tokenizer if WORDS in source.components else None,
    )
    changed = ", ".join(source.changed) or "nothing"
    return Exported(Path(options.dst), notes=(f"changed: {changed}", *_notes(source)))


def _adapter(options: ExportOptions, given: Sequence[AppliedAdapter]) -> Exported:
    """An adapter, in our own form or in that of PEFT."""
    if len(given) != 1 or given[0].strength != 1:
        raise InputError(
            "give one adapter, and no strength, to write it in another form", "adapter"
        )
    assert options.checkpoint is not None
    source, (applied,) = open_source(options.checkpoint, given), given
    record = applied.adapter.record
    target = Path(options.dst).absolute()
    if options.format == OURS:
        adapters.write_adapter(
            target,
            applied.adapter.trees,
            alpha=record.alpha,
            base=source.checkpoint.provenance,
            recipe=record.recipe,
            force=options.force,
        )
    else:
        with staging(target, force=options.force, ours=_is_export) as stage:
            folder = stage / "adapter"
            folder.mkdir()
            write_peft(folder, applied.adapter, source.config)
            _record(folder, source, (), ())
            put_in_place(stage, folder, target)
    return Exported(
        Path(options.dst),
        notes=(f"{len(record.paths)} kernels, rank {record.rank}", *_notes(source)),
    )
