"""The output of `show`: human-readable and as JSON."""

import collections
import contextlib
import dataclasses
import math
import textwrap
from collections.abc import Callable
from typing import Any

from indextts_jax.checkpoint.inspection.marks import BROKEN, KINDS, UNTRAINED
from indextts_jax.checkpoint.inspection.measure import Statistics, together
from indextts_jax.checkpoint.inspection.survey import ComponentPart, Measured, sizes
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, OPTIONAL
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.text.v25.tokenizer import RanksTokenizer
from indextts_jax.utils.strict_data import to_data
from indextts_jax.utils.text_table import table

# By version: what the tokenizer's entries are called, how it is read, what its file is.
TOKENIZERS: dict[str, tuple[str, Callable[[bytes], Tokenizer | RanksTokenizer], str]] = {
    "2.0": ("pieces", Tokenizer, "a SentencePiece model"),
    "2.5": ("ids", RanksTokenizer, "a file of ranks"),
}
WIDTH = 100
NAMED = 8  # marked arrays named in the last line
MARKS = {BROKEN: "!", UNTRAINED: "?"}  # signs in the table; ~ for odd arrays
STATISTICS = ("mean", "deviation", "zeros", "NaN", "inf", "lowest", "highest")


def page(saved: Checkpoint, found: list[ComponentPart], names: tuple[str, ...]) -> str:
    """The page of everything that can be shown without reading arrays."""
    record = saved.provenance
    versions = ", ".join(f"{v.package} {v.version}" for v in record.versions)
    rows: list[tuple[object, ...]] = []
    for part in found:
        kept = part.record
        state = f"{len(part.problems)} problems" if part.problems else "present"
        dtypes = ", ".join(part.dtypes) or "?"
        rows.append(
            (
                kept.name,
                f"{kept.parameters:,}",
                format_bytes(kept.bytes),
                part.arrays,
                dtypes,
                state,
            )
        )
    count, size = (sum(getattr(p.record, name) for p in found) for name in ("parameters", "bytes"))
    total = ("total", f"{count:,}", format_bytes(size), sum(part.arrays for part in found), "", "")
    known = (*COMPONENTS, *OPTIONAL)
    absent = [name for name in known if name not in saved.components]
    config = to_data(saved.config)
    sections = {key: config[key] for key in config if key in names or key not in known}
    lines = [
        f"{saved.path}: format {record.format}, weights in {record.dtype}, made {record.created}",
        _wrapped("made with", versions),
        _wrapped("ignored at import", ", ".join(record.ignored) or "nothing"),
        f"tokenizer: {_tokenizer(saved)}",
        "",
        table(("component", "parameters", "size", "arrays", "dtypes", "state"), [*rows, total]),
        *([_wrapped("not in it", ", ".join(absent))] if absent else []),
        "",
        "Sizes and settings",
        *(_wrapped(key, ", ".join(sizes(data))) for key, data in sections.items()),
        "",
        "Sources",
        *(f"  {f.name}: {format_bytes(f.size)}, SHA-256 {f.sha256}" for f in record.sources),
        *([] if record.sources else ["  none recorded"]),
        "",
    ]
    return "\n".join(lines)


def _tokenizer(saved: Checkpoint) -> str:
    size = f"{len(saved.tokenizer):,} bytes"
    entries, read, kind = TOKENIZERS[saved.config.version]
    with contextlib.suppress(InputError):
        return f"{read(saved.tokenizer).size:,} {entries}, {size}"
    return f"{size} that are not {kind}"


def _wrapped(title: str, text: str) -> str:
    return textwrap.fill(f"{title}: {text}", WIDTH, subsequent_indent="  ", break_long_words=False)


def format_bytes(size: int) -> str:
    """A size in a suitable unit."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def stored_bytes(part: ComponentPart) -> int:
    """Bytes of a component's files."""
    return sum(file.size for file in part.record.files)


def _cells(found: Statistics) -> tuple[str, ...]:
    moments = [f"{value:.2e}" for value in (found.mean, found.deviation, found.low, found.high)]
    return (
        *moments[:2],
        f"{found.share_of_zeros:.2%}",
        f"{found.nan:,}",
        f"{found.inf:,}",
        *moments[2:],
    )


def format_statistics(found: list[ComponentPart], arrays: list[Measured]) -> str:
    """Marked arrays, every array, every component."""
    lines = []
    for kind in KINDS:
        for array in arrays:
            lines += [f"{kind}: {array.path}: {m.reason}" for m in array.marks if m.kind == kind]
    if lines:
        lines = ["Marked arrays", *lines, ""]
    rows = []
    for array in arrays:
        sign = min((MARKS.get(mark.kind, "~") for mark in array.marks), default="")
        shape = "x".join(map(str, array.shape)) or "scalar"
        rows.append((sign, array.path, shape, *_cells(array.found)))
    lines += [table(("", "array", "shape", *STATISTICS), rows), ""] if rows else []
    of_parts = []
    for part in found:
        own = [a for a in arrays if a.path.startswith(f"{part.record.name}.")]
        if own:
            odd = sum(bool(array.marks) for array in own)
            cells = _cells(together(array.found for array in own))
            of_parts.append((part.record.name, len(own), *cells, odd))
    lines.append(table(("component", "arrays", *STATISTICS, "marked"), of_parts))
    return "\n".join(lines)


def summary(arrays: list[Measured]) -> str:
    """One line: how many arrays are marked, and the first of them."""
    count = collections.Counter(kind for a in arrays for kind in {m.kind for m in a.marks})
    if not count:
        return f"{len(arrays):,} arrays: none looks broken or untrained"
    counts = [f"{count[kind]:,} {kind}" for kind in KINDS if count[kind]]
    worst = sorted(
        (array for array in arrays if array.marks),
        key=lambda array: min(KINDS.index(mark.kind) for mark in array.marks),
    )
    names = ", ".join(array.path for array in worst[:NAMED])
    more = ", ..." if len(worst) > NAMED else ""
    return f"{len(arrays):,} arrays; marked: {', '.join(counts)}: {names}{more}"


def checkpoint_data(saved: Checkpoint, found: list[ComponentPart]) -> dict[str, Any]:
    """Everything that can be shown without reading arrays, as JSON data."""
    record = to_data(saved.provenance)
    keys = ("format", "created", "dtype", "versions", "sources", "ignored")
    return {
        "checkpoint": str(saved.path),
        **{key: record[key] for key in keys},
        "components": [_part_data(part) for part in found],
        "config": to_data(saved.config),
        "tokenizer": _tokenizer(saved),
    }


def _part_data(part: ComponentPart) -> dict[str, Any]:
    kept = part.record
    return {
        "name": kept.name,
        "parameters": kept.parameters,
        "bytes": kept.bytes,
        "arrays": part.arrays,
        "dtypes": list(part.dtypes),
        "files": len(kept.files),
        "stored_bytes": stored_bytes(part),
        "digest": kept.digest,
    }


def array_data(array: Measured) -> dict[str, Any]:
    """The statistics of one array as JSON data."""
    found = dataclasses.asdict(array.found)
    return {
        "array": array.path,
        "shape": list(array.shape),
        "dtype": array.dtype,
        # JSON has no NaN.
        **{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in found.items()},
        "marks": [dataclasses.asdict(mark) for mark in array.marks],
    }
