"""The plan of a data set: its rows cut into packs, once, with hashes of all that goes into them.

    plan = make_plan(Output(path), sources, common, about, recordings_of)
    for pack in plan.packs: rows = plan.rows(pack)

Packs are consecutive rows up to some minutes of estimated audio. They do not depend on how many
workers there will be. A pack whose input has changed since is refused.
"""

import array
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from indextts_jax.errors import InputError, gathered
from indextts_jax.jobs import rows as rows_of_tables
from indextts_jax.jobs.output import Output
from indextts_jax.jobs.rows import Common, Row, check_columns, hash_content, hash_rows, key_of
from indextts_jax.jobs.tables import Source, Span, read, scan
from indextts_jax.text.duration import duration
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.parquet import modules
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1
PLAN, PACKS, SAME, LISTING = "plan.json", "packs.parquet", "same.parquet", "texts.jsonl"
FORMATS = ("parquet", "webdataset")
PACK_SECONDS = 1200.0  # of estimated audio in a pack
NAMED = 5  # refused rows that a plan names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """A voice, an emotion prompt or a glossary that rows name."""

    path: str  # where it was found
    digest: str  # of its content; empty if it cannot be used
    problem: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
    """What all rows of a set are spoken with; plain data, so that no model is needed to read it."""

    checkpoint: str  # directory
    fingerprint: str  # of the components that speak
    settings: Mapping[str, Any]  # `Settings`, without glossary
    glossary: Mapping[str, Any] | None = None  # terms and readings
    dtype: str | None = None
    fused_attention: bool = False
    adapters: tuple[str, ...] = ()
    adapter_strength: tuple[float, ...] = ()
    adapter_digests: tuple[str, ...] = ()
    excerpt: str = "first"  # of recordings of voices

    @property
    def digest(self) -> str:
        """A hash of all that codes depend on."""
        settings = {name: value for name, value in self.settings.items() if name != "batch"}
        mine = [self.fingerprint, settings, self.glossary, self.dtype, self.excerpt]
        return hashing.digest([*mine, self.adapter_digests, self.adapter_strength, _major()])


def _major() -> str:
    """The part of this program's version within which a request keeps its codes."""
    version = next(v.version for v in hashing.versions() if v.package == "indextts-jax")
    first, _, rest = version.partition(".")
    return f"0.{rest.partition('.')[0]}" if first == "0" else first


class Pack(NamedTuple):
    """Consecutive rows of one table."""

    number: int
    source: int  # index of the table
    first: int  # number of its first row in the set
    at: int  # number of its first row in the table
    rows: int
    begin: int
    end: int
    line: int
    seconds: float  # of audio, estimated
    content: str  # hash of its rows
    keys: str  # hash of their ids and keys


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be spoken, and how; `packs.parquet` beside it has the packs."""

    format: int
    created: str
    about: About
    common: Common
    sources: tuple[Source, ...]
    recordings: Mapping[str, Recording]  # by name in the rows and directory
    audio: str  # one of FORMATS
    pack_seconds: float
    licence: str
    rows: int
    refused: int
    same: int  # rows that equal an earlier one
    seconds: float  # of audio, estimated
    digest: str  # of the hashes of all packs

    def rows_of(self, pack: Pack) -> list[tuple[Row, str]]:
        """The rows of a pack, with their keys.

        Raises:
            InputError: if the input is not what it was when the plan was made.
        """
        source = self.sources[pack.source]
        span = Span(pack.begin, pack.end, pack.line)
        found = read(source, span, self.common.named)
        made = [
            rows_of_tables.row_of(one, source, pack.first + n, pack.at + n, self.common)
            for n, one in enumerate(found)
        ]
        if len(made) != pack.rows or hash_content(made) != pack.content:
            raise InputError(
                f"{source.name} has changed since the plan was made: rows {pack.at + 1:,} to "
                f"{pack.at + pack.rows:,} differ. Restore it, or make a plan in another directory"
            )
        made = [self._checked(row) for row in made]
        digests = self.digests(source.base)
        return [(row, key_of(row, self._common_key, digests)) for row in made]

    @functools.cached_property
    def _common_key(self) -> str:
        return self.about.digest

    def recording(self, base: str, name: str) -> Recording:
        """What a name in a row stands for."""
        return self.recordings[f"{base}|{name}"]

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def digests(self, base: str) -> Mapping[str, str]:
        """Digests of the recordings that the rows of a directory name."""
        return {
            key.partition("|")[2]: one.digest
            for key, one in self.recordings.items()
            if key.partition("|")[0] == base
        }

    def _checked(self, row: Row) -> Row:
        """The row, refused if a recording that it names cannot be used."""
        return _with_recordings(row, self.recordings)

    def __hash__(self) -> int:
        return hash(self.digest)


Find = Callable[[str, str, str], Recording]  # kind (voice, emotion, glossary), directory, name


def _names(row: Row) -> Iterator[tuple[str, str]]:
    """The recordings that a row names: kind and name."""
    if row.voice:
        yield "voice", row.voice
    if "prompt" in row.emotion:
        yield "emotion", row.emotion["prompt"]
    if row.glossary is not None:
        yield "glossary", row.glossary


def _with_recordings(row: Row, known: Mapping[str, Recording]) -> Row:
    if row.problem:
        return row
    problems = [
        f"{kind}: {one.problem}"
        for kind, name in _names(row)
        if (one := known[f"{row.base}|{name}"]).problem
    ]
    return dataclasses.replace(row, problem="; ".join(problems)) if problems else row


class _Pending:
    """The rows of the pack that is being cut."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.pairs: list[tuple[str, str]] = []
        self.spans: list[Span] = []
        self.seconds = 0.0


@dataclasses.dataclass
class _Scan:
    """The pass over all rows."""

    sources: Sequence[Source]
    common: Common
    about: About
    find: Find
    pack_seconds: float
    progress: Callable[[int], None]

    def __post_init__(self) -> None:
        self.recordings: dict[str, Recording] = {}
        self.packs: list[Pack] = []
        self.ids, self.keys = array.array("Q"), array.array("Q")
        self.problems: list[str] = []
        self.refused = 0
        self.key = self.about.digest

    def run(self) -> None:
        number = 0
        for index, source in enumerate(self.sources):
            pending, at, first = _Pending(), 0, True
            digests: dict[str, str] = {}
            for found in scan(source, self.common.named):
                if first and not found.problem:
                    check_columns(source, self.common, found)
                    first = False
                original = rows_of_tables.row_of(found, source, number, at, self.common)
                for kind, name in _names(original):
                    self._recording(kind, source.base, name, digests)
                row = _with_recordings(original, self.recordings)
                key = key_of(row, self.key, digests)
                seconds = 0.0 if row.problem else duration(row.text).usual
                if pending.rows and pending.seconds + seconds > self.pack_seconds:
                    self._cut(pending, index, at)
                    pending = _Pending()
                pending.rows.append(original)
                pending.pairs.append((row.id, key))
                pending.spans.append(found.span)
                pending.seconds += seconds
                self._note(row, key)
                number, at = number + 1, at + 1
                if number % 1000 == 0:
                    self.progress(number)
            if first:
                check_columns(source, self.common, None)
            if pending.rows:
                self._cut(pending, index, at)

    def _recording(self, kind: str, base: str, name: str, digests: dict[str, str]) -> None:
        if name in digests:
            return
        place = f"{base}|{name}"
        if place not in self.recordings:
            self.recordings[place] = self.find(kind, base, name)
        digests[name] = self.recordings[place].digest

    def _note(self, row: Row, key: str) -> None:
        self.ids.append(int(hashing.digest(row.id)[:16], 16))
        # Two halves of 64 bits: equal by chance in no set that anyone can speak.
        self.keys.append(int(key[:16], 16))
        self.keys.append(int(key[16:32], 16))
        if row.problem:
            self.refused += 1
            if len(self.problems) < NAMED:
                self.problems.append(f"{row.place} ({row.id:.60}): {row.problem}")

    def _cut(self, pending: _Pending, source: int, at: int) -> None:
        first, begin, line = pending.rows[0].number, pending.spans[0].begin, pending.spans[0].line
        self.packs.append(
            Pack(
                number=len(self.packs),
                source=source,
                first=first,
                at=at - len(pending.rows),
                rows=len(pending.rows),
                begin=begin,
                end=pending.spans[-1].end,
                line=line,
                seconds=pending.seconds,
                content=hash_content(pending.rows),
                keys=hash_rows(pending.pairs),
            )
        )


@dataclasses.dataclass(frozen=True)
class Planned:
    """A plan that was made, and the refused rows that it names."""

    plan: Plan
    packs: int
    problems: tuple[str, ...]


def make_plan(
    output: Output,
    sources: Sequence[Source],
    common: Common,
    about: About,
    find: Find,
    *,
    audio: str = FORMATS[0],
    pack_seconds: float = PACK_SECONDS,
    licence: str = "",
    progress: Callable[[int], None] = lambda rows: None,
) -> Planned:
    """Reads all rows, cuts them into packs, and writes the plan.

    Raises:
        InputError: for missing columns, ids that occur twice, or no rows; if the directory has
            another plan.
    """
    if audio not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {audio}", "format")
    if not 1 <= pack_seconds <= 86_400:
        raise InputError(f"pack_seconds must be 1 to 86,400, got {pack_seconds:g}", "pack_seconds")
    modules("a data set")
    scanned = _Scan(sources, common, about, find, pack_seconds, progress)
    scanned.run()
    if not scanned.packs:
        raise InputError(f"no rows in {', '.join(one.name for one in sources)}")
    _refuse_equal_ids(scanned)
    same = _equal_keys(scanned)
    plan = Plan(
        format=FORMAT,
        created=hashing.now(),
        about=about,
        common=common,
        sources=tuple(sources),
        recordings=scanned.recordings,
        audio=audio,
        pack_seconds=pack_seconds,
        licence=licence,
        rows=len(scanned.ids),
        refused=scanned.refused,
        same=len(same),
        seconds=sum(pack.seconds for pack in scanned.packs),
        digest=hashing.digest([[pack.content, pack.keys] for pack in scanned.packs]),
    )
    _write(output, plan, scanned.packs, same)
    return Planned(plan, len(scanned.packs), tuple(scanned.problems))


def _refuse_equal_ids(scanned: _Scan) -> None:
    """Raises InputError naming both places of ids that occur twice."""
    ids = np.frombuffer(scanned.ids, np.uint64)
    values, counts = np.unique(ids, return_counts=True)
    if not (twice := set(values[counts > 1].tolist())):
        return
    rows = np.flatnonzero(np.isin(ids, np.array(sorted(twice), np.uint64)))
    places: dict[str, str] = {}
    problems: list[str] = []
    wanted = set(rows.tolist())
    number = 0
    for source in scanned.sources:
        at = 0
        for found in scan(source, scanned.common.named):
            if number in wanted:
                row = rows_of_tables.row_of(found, source, number, at, scanned.common)
                place = f"{source.name}, {row.place}"
                if row.id in places:
                    problems.append(f"{row.id!r:.80}: {places[row.id]} and {place}")
                places.setdefault(row.id, place)
            number, at = number + 1, at + 1
            if len(problems) > NAMED:
                break
    if problems:
        shown = [*problems[:NAMED], *(["and more"] if len(problems) > NAMED else [])]
        raise InputError(gathered("with ids that occur more than once", shown))


def _equal_keys(scanned: _Scan) -> Int[np.ndarray, "n 2"]:
    """Rows that equal an earlier one, each with the number of the first."""
    keys = np.frombuffer(scanned.keys, np.uint64).reshape(-1, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: equal keys stay in the order of rows
    ordered = keys[order]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    firsts = order[np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))]
    pairs = np.stack([order, firsts], axis=1)[~fresh]
    return pairs[np.argsort(pairs[:, 0])].astype(np.int64)


def _write(output: Output, plan: Plan, packs: Sequence[Pack], same: Int[np.ndarray, "n 2"]) -> None:
    """Writes the plan, `plan.json` last; the same plan again changes nothing."""
    if (output.path / PLAN).exists():
        there = read_plan(output)
        if dataclasses.replace(there, created=plan.created) == plan:
            return
        raise InputError(
            f"{output.path} has another plan (input, voices or settings differ): choose another "
            "directory"
        )
    pa, parquet = modules("a data set")
    output.prepare()
    columns = {name: [getattr(pack, name) for pack in packs] for name in Pack._fields}
    rows = {"row": same[:, 0], "first": same[:, 1]}
    for name, table in ((PACKS, pa.table(columns)), (SAME, pa.table(rows))):
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink)
        write_whole(output.path / name, sink.getvalue().to_pybytes())
    text = json.dumps(to_data(plan), indent=1, ensure_ascii=False)
    write_whole(output.path / PLAN, text.encode("utf-8", "replace"))


def read_plan(output: Output) -> Plan:
    """The plan of a directory.

    Raises:
        InputError: if there is none, or this program cannot read it.
    """
    path = output.path / PLAN
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{output.path} has no plan: make one with python -m indextts_jax.dataset plan"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error!s:.120}") from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise InputError(f"{path}: expected a plan of format {FORMAT}, found {found!r:.20}")
    try:
        given = {name: from_data(Recording, one) for name, one in data["recordings"].items()}
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in data["about"].items()
        }
        about = About(**plain)
        sources = tuple(from_data(Source, one) for one in data["sources"])
        common = Common(**data["common"])
        made = {"recordings": given, "about": about, "sources": sources, "common": common}
        return Plan(**{**data, **made})
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error!s:.200}") from error


def read_packs(output: Output) -> list[Pack]:
    """The packs of a plan.

    Raises:
        InputError: if they cannot be read.
    """
    _, parquet = modules("a data set")
    try:
        table = parquet.read_table(output.path / PACKS)
        columns = [table[name].to_pylist() for name in Pack._fields]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{output.path / PACKS} cannot be read: {error!s:.120}") from error
    return [Pack(*values) for values in zip(*columns, strict=True)]


def read_same(output: Output) -> dict[int, int]:
    """For each row that equals an earlier one the number of the first."""
    _, parquet = modules("a data set")
    table = parquet.read_table(output.path / SAME)
    return dict(zip(table["row"].to_pylist(), table["first"].to_pylist(), strict=True))
