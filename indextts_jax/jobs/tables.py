"""Tables of rows: .jsonl, .csv, .tsv and .parquet files, and directories of .txt files.

    for found in scan(source): ...                     # all rows, in order
    rows = read(source, Span(begin, end, line))        # the same rows again, without the others

A row's place is a range of bytes, or a row number of a Parquet file, so that a worker reads only
its own rows of a table of any size. Addresses (`s3://...`) are read through fsspec.
"""

import csv
import dataclasses
import functools
import glob
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from indextts_jax.errors import InputError
from indextts_jax.utils.parquet import open_parquet

KINDS = ("jsonl", "csv", "tsv", "parquet")
EXPECTED = "expected .jsonl, .csv, .tsv or .parquet files, or a directory of them or of .txt files"
TEXTS = "texts"  # kind of a listing of .txt files
LONGEST = 10_000_000  # bytes of a text file that are read at most; rows refuse much less

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # long fields are refused by row, not by file


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One table."""

    name: str  # absolute path, or address
    kind: str  # one of KINDS, or TEXTS
    base: str  # directory of paths in its rows
    header: tuple[str, ...] = ()  # columns of a .csv, .tsv or .parquet file


class Span(NamedTuple):
    """A range of rows: bytes of the file, or row numbers of a Parquet file."""

    begin: int
    end: int
    line: int  # number of its first line, from 1


class Found(NamedTuple):
    """One row with its columns as they are in the table, or the problem of a damaged row."""

    columns: Mapping[str, Any]
    place: str  # for messages: "rows.jsonl line 3"
    span: Span
    problem: str = ""


def is_address(name: str) -> bool:
    """Whether a name is an address such as `s3://...` rather than a path."""
    return bool(_ADDRESS.match(name))


def open_binary(name: str) -> IO[bytes]:
    """A file, or what an address names, opened for reading.

    Raises:
        InputError: if it cannot be read, or an address needs a package that is not installed.
    """
    if not is_address(name):
        try:
            return open(name, "rb")
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}") from error
    try:
        import fsspec

        opened: IO[bytes] = fsspec.open(name, "rb").open()
        return opened
    except (ImportError, OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {error!s:.200}") from error


def sources(names: Sequence[str], listing: Path) -> list[Source]:
    """The tables that names, patterns (`*.parquet`) and addresses stand for, in order.

    A directory of .txt files becomes a listing of them, written to `listing`.

    Raises:
        InputError: if there is none, or one is missing or of another kind.
    """
    found: list[Source] = []
    for name in names:
        for path in _expanded(name):
            if is_address(path) or not Path(path).is_dir():
                found.append(_source(path))
                continue
            tables = sorted(p for p in Path(path).rglob("*") if p.suffix.lower()[1:] in KINDS)
            found += [_source(str(p)) for p in tables] or [_texts(Path(path), listing)]
    if sum(one.kind == TEXTS for one in found) > 1:
        raise InputError("input: give one directory of .txt files at most", "input")
    twice = {one.name for one in found if sum(one.name == o.name for o in found) > 1}
    if twice:
        raise InputError(f"input: {min(twice)} is given twice", "input")
    return found


def _expanded(name: str) -> list[str]:
    if is_address(name):
        if not any(sign in name for sign in "*?["):
            return [name]
        try:
            import fsspec

            return sorted(file.full_name for file in fsspec.open_files(name, "rb"))
        except (ImportError, OSError, ValueError) as error:
            raise InputError(f"{name} cannot be read: {error!s:.200}") from error
    if Path(name).exists():
        return [str(Path(name).absolute())]
    paths = sorted(glob.glob(name, recursive=True))
    if not paths:
        raise InputError(f"input: {name} does not exist; {EXPECTED}", "input")
    return [str(Path(path).absolute()) for path in paths]


def _source(name: str) -> Source:
    kind = name.rpartition(".")[2].lower()
    if kind not in KINDS:
        raise InputError(f"input: {name} is not a table; {EXPECTED}", "input")
    base = name.rpartition("/")[0] if is_address(name) else str(Path(name).parent)
    source = Source(name=name, kind=kind, base=base)
    if kind == "parquet":
        with open_binary(name) as file:
            names = open_parquet(name, file).schema_arrow.names
        return dataclasses.replace(source, header=tuple(names))
    if kind == "jsonl":
        with open_binary(name):
            return source
    with open_binary(name) as file:
        header = next(_cells(source, _Decoded(file)), None)
    if header is None:
        raise InputError(f"{name} is empty: expected a line with the names of its columns")
    columns = [cell.strip() for cell in header[0]]
    if len(set(columns)) < len(columns):
        raise InputError(f"{name}: duplicate column in {', '.join(columns)}")
    return dataclasses.replace(source, header=tuple(columns))


def _texts(folder: Path, listing: Path) -> Source:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.txt"))
    if not names:
        raise InputError(f"input: {folder} has neither tables nor texts; {EXPECTED}", "input")
    text = "".join(f"{json.dumps(name)}\n" for name in names)
    if not listing.exists():
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text(text, "utf-8")
    elif listing.read_text("utf-8") != text:
        raise InputError(
            f"{folder} does not have the texts that {listing} names: choose another directory"
        )
    return Source(name=str(listing.absolute()), kind=TEXTS, base=str(folder))


def scan(source: Source, columns: Iterable[str] = ()) -> Iterator[Found]:
    """All rows of a table in order; of a Parquet file only these columns are read.

    Raises:
        InputError: if the table cannot be read.
    """
    with open_binary(source.name) as file:
        if source.kind == "parquet":
            yield from _parquet(source, open_parquet(source.name, file), columns)
            return
        if source.kind in ("csv", "tsv"):
            decoded = _Decoded(file)
            _, begin, line = next(_cells(source, decoded))
            yield from _separated(source, decoded, begin, line)
        else:
            yield from _lines(source, file, 0, 1)


def read(source: Source, span: Span, columns: Iterable[str] = ()) -> list[Found]:
    """The rows of a span; fewer, or others, if the table has changed.

    Raises:
        InputError: if the table cannot be read.
    """
    with open_binary(source.name) as file:
        if source.kind == "parquet":
            return list(_parquet_rows(source, file, span, columns))
        file.seek(span.begin)
        data = io.BytesIO(file.read(span.end - span.begin))
    if source.kind in ("csv", "tsv"):
        return list(_separated(source, _Decoded(data), span.begin, span.line - 1))
    return list(_lines(source, data, span.begin, span.line))


def _short(source: Source) -> str:
    return source.name.rstrip("/").rpartition("/")[2]


def _lines(source: Source, file: IO[bytes], begin: int, line: int) -> Iterator[Found]:
    """Rows of a .jsonl file or of a listing: a line each."""
    for number, raw in enumerate(file, line):
        span = Span(begin, begin + len(raw), number)
        begin = span.end
        if not raw.strip():
            continue
        place = f"{_short(source)} line {number}"
        try:
            data = json.loads(raw.decode("utf-8-sig" if span.begin == 0 else "utf-8"))
        except UnicodeDecodeError as error:
            yield Found({}, place, span, f"not UTF-8 text: byte {error.start} of the line")
            continue
        except (ValueError, RecursionError) as error:
            yield Found({}, place, span, f"not JSON: {error!s:.120}")
            continue
        if source.kind == TEXTS:
            yield _text(source, str(data), span)
        elif isinstance(data, dict):
            yield Found(data, place, span)
        else:
            yield Found({}, place, span, f"expected an object, got {type(data).__name__}")


def _text(source: Source, name: str, span: Span) -> Found:
    """The row of one text file of a directory."""
    path, own = Path(source.base, name), {"id": name.removesuffix(".txt")}
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        return Found(own, str(path), span, f"not UTF-8 text: byte {error.start}")
    except OSError as error:
        return Found(own, str(path), span, f"cannot be read: {error.strerror or error}")
    return Found({**own, "text": text}, str(path), span)


class _Decoded(Iterator[str]):
    """The lines of a file as text, and how many bytes and lines were read so far."""

    def __init__(self, file: IO[bytes]):
        self.lines = iter(file)
        self.bytes = self.count = 0

    def __next__(self) -> str:
        raw = next(self.lines)
        first = self.bytes == 0
        self.bytes += len(raw)
        self.count += 1
        # Damaged bytes become lone surrogates, which the check of the text refuses by row.
        return raw.decode("utf-8-sig" if first else "utf-8", "surrogateescape")


def _cells(source: Source, lines: _Decoded) -> Iterator[tuple[list[str], int, int]]:
    """Rows of cells, each with the bytes and lines up to its end."""
    tabs = source.kind == "tsv"
    # Common .tsv data sets do not quote: texts may begin with a single quotation mark.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    reader = csv.reader(lines, delimiter="\t" if tabs else ",", quoting=quoting)
    try:
        for cells in reader:
            yield cells, lines.bytes, lines.count
    except csv.Error as error:
        raise InputError(f"{source.name} line {lines.count}: {error}") from error


def _separated(source: Source, lines: _Decoded, begin: int, line: int) -> Iterator[Found]:
    """Rows of a .csv or .tsv file; `lines` begins at byte `begin`, after line `line`.

    `scan` has read the header from the same lines; then their counts include it.
    """
    shift, ahead = (0, 0) if lines.bytes else (begin, line)
    for cells, end, count in _cells(source, lines):
        span, begin, line = Span(begin, end + shift, line + 1), end + shift, count + ahead
        if not cells:
            continue
        place = f"{_short(source)} line {span.line}"
        if len(cells) != len(source.header):
            problem = f"expected {len(source.header)} columns, got {len(cells)}"
            yield Found({}, place, span, problem)
            continue
        columns = {k: v if v else None for k, v in zip(source.header, cells, strict=True)}
        yield Found(columns, place, span)


def _wanted(source: Source, columns: Iterable[str]) -> list[str]:
    return [name for name in source.header if name in set(columns)]


def _parquet(source: Source, file: Any, columns: Iterable[str]) -> Iterator[Found]:
    number = 0
    for batch in file.iter_batches(batch_size=4096, columns=_wanted(source, columns)):
        for row in batch.to_pylist():
            yield _parquet_row(source, row, number)
            number += 1


def _parquet_row(source: Source, row: Mapping[str, Any], number: int) -> Found:
    place = f"{_short(source)} row {number + 1}"
    return Found(row, place, Span(number, number + 1, number + 1))


def _parquet_rows(
    source: Source, opened: IO[bytes], span: Span, columns: Iterable[str]
) -> Iterator[Found]:
    file, first = open_parquet(source.name, opened), 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if first + count > span.begin and first < span.end:
            table = _row_group(source.name, group, tuple(_wanted(source, columns)), _stamp(source))
            low, high = max(span.begin - first, 0), min(span.end - first, count)
            for offset, row in enumerate(table.slice(low, high - low).to_pylist(), first + low):
                yield _parquet_row(source, row, offset)
        first += count


def _stamp(source: Source) -> tuple[int, int]:
    """What changes when a file changes, so that no stale group is used."""
    if is_address(source.name):
        return 0, 0
    status = Path(source.name).stat()
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=2)  # packs follow each other within a group of rows
def _row_group(name: str, group: int, columns: tuple[str, ...], stamp: tuple[int, int]) -> Any:
    with open_binary(name) as opened:
        return open_parquet(name, opened).read_row_group(group, columns=list(columns))
