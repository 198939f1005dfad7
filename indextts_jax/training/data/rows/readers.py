"""Readers of manifests: rows as plain mappings, for each kind of file or directory.

Each reader returns the columns unchanged; `manifest.py` interprets them.
"""

import csv
import functools
import io
import itertools
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from indextts_jax.errors import InputError
from indextts_jax.utils.parquet import open_parquet

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")  # suffixes of recordings in a directory
TEXTS = (".txt", ".lab")  # suffixes of the text beside a recording
KINDS = (
    "a .jsonl, .csv, .tsv, .parquet or .tar file (WebDataset), or a directory of recordings with a "
    "text of the same name beside each (.txt, .lab), of LJSpeech, or of .parquet or .tar files"
)


class Embedded(NamedTuple):
    """A recording embedded in a parquet file, or in a tar."""

    file: Path
    row: int
    column: str
    name: str | None  # original file name
    span: tuple[int, int] | None = None  # in a tar: its first byte, and how many there are


class Record(NamedTuple):
    """One row, and its location."""

    columns: Mapping[str, Any]
    place: str  # for messages: "clips.jsonl line 3"


def read_records(path: Path) -> Iterator[Record]:
    """Reads the rows of a manifest, in order.

    Raises:
        InputError: if it is missing, of an unknown kind, or damaged; names the line.
    """
    if path.is_dir():
        yield from _directory(path)
        return
    readers = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _tsv}
    readers |= {".parquet": _parquet, ".tar": _tar}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is not a manifest: expected {KINDS}")
    if not path.is_file():
        raise InputError(f"{path}: manifest not found")
    yield from readers[path.suffix.lower()](path)


def _directory(folder: Path) -> Iterator[Record]:
    metadata = folder / "metadata.csv"
    if metadata.is_file():
        yield from _csv(metadata)
        return
    if (metadata := folder / "metadata.jsonl").is_file():
        yield from _jsonl(metadata)
        return
    if parquet := sorted(folder.rglob("*.parquet")):
        for path in parquet:
            yield from _parquet(path)
        return
    if tars := sorted(folder.rglob("*.tar")):
        for path in tars:
            yield from _tar(path)
        return
    recordings = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not recordings:
        raise InputError(f"{folder} has neither recordings nor a manifest: expected {KINDS}")
    for path in recordings:
        beside = [path.with_suffix(suffix) for suffix in TEXTS]
        text = next((_text(p) for p in beside if p.is_file()), None)
        name = path.relative_to(folder).as_posix()
        yield Record({"audio": name, "text": text, "id": name.rsplit(".", 1)[0]}, str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path} line {number} is not JSON: {error!s:.120}") from error
        if not isinstance(data, dict):
            raise InputError(f"{path} line {number}: expected an object, got {line[:60]!r}")
        yield Record(data, f"{path.name} line {number}")


def _csv(path: Path) -> Iterator[Record]:
    text = _text(path)
    first = text.split("\n", 1)[0]
    if "|" in first and "," not in first.split("|", 1)[0]:
        yield from _ljspeech(path, text)
    else:
        yield from _separated(path, text, ",")


def _tsv(path: Path) -> Iterator[Record]:
    yield from _separated(path, _text(path), "\t")


def _separated(path: Path, text: str, delimiter: str) -> Iterator[Record]:
    # Common .tsv data sets do not quote: texts may begin with a single quotation mark.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
    header: Sequence[str] | None = None
    try:
        for cells in reader:
            if header is None:
                header = [cell.strip() for cell in cells]
                if len(set(header)) < len(header):
                    raise InputError(f"{path}: duplicate column in {', '.join(header)}")
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{path} line {reader.line_num}: expected {len(header)} columns, got "
                    f"{len(cells)}"
                )
            columns = {k: v if v else None for k, v in zip(header, cells, strict=True)}
            yield Record(columns, f"{path.name} line {reader.line_num}")
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from error


def _ljspeech(path: Path, text: str) -> Iterator[Record]:
    """LJSpeech: `id|text|normalised text`, without a header; recordings in `wavs`."""
    for number, line in enumerate(text.splitlines(), 1):
        name, *texts = line.split("|")
        if not texts or not name:
            raise InputError(f"{path} line {number}: expected id|text|normalised, got {line!r}")
        said = next((t for t in reversed(texts[:2]) if t.strip()), None)
        name = name.strip()
        found = [f"wavs/{name}{s}" for s in SUFFIXES if (path.parent / f"wavs/{name}{s}").exists()]
        audio = found[0] if found else f"wavs/{name}.wav"
        yield Record({"audio": audio, "text": said, "id": name}, f"{path.name} line {number}")


def _parquet(path: Path) -> Iterator[Record]:
    """Rows of a parquet file; recordings may be embedded as a column of structs with `bytes`."""
    file = open_parquet(path)
    import pyarrow as pa

    names = file.schema_arrow.names
    structs = {
        name
        for name in names
        if pa.types.is_struct(file.schema_arrow.field(name).type)
        and {"bytes", "path"} <= {f.name for f in file.schema_arrow.field(name).type}
    }
    number = 0
    # Embedded recordings are not read here: a data set may be larger than memory.
    wanted = [f"{name}.path" if name in structs else name for name in names]
    for batch in file.iter_batches(columns=wanted):
        for columns in batch.to_pylist():
            for name in structs:
                inside = columns.get(name) or {}
                columns[name] = Embedded(path, number, name, inside.get("path"))
            yield Record(columns, f"{path.name} row {number + 1}")
            number += 1


def _tar(path: Path) -> Iterator[Record]:
    """Samples of a WebDataset: members with one name up to its first point follow each other."""
    number = 0
    try:
        with tarfile.open(path, "r:") as tar:
            files = (member for member in tar if member.isfile())
            for name, members in itertools.groupby(files, lambda m: _sample(m.name)):
                yield Record(_columns(path, tar, number, list(members)), f"{path.name}: {name}")
                number += 1
    except (tarfile.TarError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a tar of a WebDataset: {error!s:.120}") from error


def _sample(member: str) -> str:
    """The name of a sample, with its directory."""
    folder, mark, name = member.rpartition("/")
    return folder + mark + name.partition(".")[0]


def _columns(
    path: Path, tar: tarfile.TarFile, row: int, members: Sequence[tarfile.TarInfo]
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for member in members:
        suffix = f".{member.name.rpartition('.')[2].lower()}"
        if suffix in SUFFIXES:
            span = (member.offset_data, member.size)
            columns["audio"] = Embedded(path, row, suffix[1:], member.name, span)
        elif suffix in (".json", *TEXTS) and (file := tar.extractfile(member)):
            text = file.read().decode("utf-8")
            columns.update(json.loads(text) if suffix == ".json" else {"text": text.strip()})
    return columns


_reading = threading.Lock()


@functools.lru_cache(maxsize=2)
def _row_group(path: Path, group: int, column: str) -> list[dict[str, Any]]:
    return open_parquet(path).read_row_group(group, columns=[column])[column].to_pylist()


def embedded_bytes(place: Embedded) -> bytes:
    """The bytes of a recording embedded in a parquet file.

    Raises:
        InputError: if the row has none, and its path does not exist either.
    """
    if place.span is not None:
        with place.file.open("rb") as opened:
            opened.seek(place.span[0])
            return opened.read(place.span[1])
    file = open_parquet(place.file)
    first, entry = 0, None
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if place.row < first + count:
            with _reading:  # rows are requested almost in order, so each group is read once
                entry = _row_group(place.file, group, place.column)[place.row - first]
            break
        first += count
    content = (entry or {}).get("bytes")
    if not content and place.name:
        beside = place.file.parent / place.name
        content = beside.read_bytes() if beside.is_file() else None
    if not content:
        raise InputError(f"{place.file} row {place.row + 1}: {place.column} has no recording")
    return bytes(content)
