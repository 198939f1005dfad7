"""Tables: every kind is read to the same rows, whole and by spans."""

import json
from pathlib import Path
from typing import Any

import dataset_runs
import pytest

from indextts_jax.errors import InputError
from indextts_jax.jobs.tables import Found, Source, Span, read, scan, sources

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "one, two"},
    {"id": "b", "text": 'a "word"\nand a second line'},
    {"id": "c", "text": "你好"},
    {"id": "d", "text": "end\u2028of"},
    {"id": "e", "text": "last"},
]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"rows.{kind}"
    match kind:
        case "jsonl":
            lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
            path.write_text("\ufeff" + "\n\n".join(lines), "utf-8")
        case "csv":
            cells = [f'{row["id"]},"{row["text"].replace(chr(34), chr(34) * 2)}"' for row in ROWS]
            path.write_text("\r\n".join(["id,text", *cells]), "utf-8-sig", newline="")
        case "tsv":
            lines = [f"{row['id']}\t{row['text'].replace(chr(10), ' ')}" for row in ROWS]
            path.write_text("\n".join(["id\ttext", *lines]), "utf-8")
        case "parquet":
            pa = pytest.importorskip("pyarrow")
            import pyarrow.parquet as parquet

            parquet.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    return path


def opened(path: Path) -> Source:
    (source,) = sources([str(path)], path.parent / "listing")
    return source


def whole(source: Source) -> list[Found]:
    return list(scan(source, ("id", "text")))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_rows_are_read(tmp_path: Path, kind: str) -> None:
    found = whole(opened(write(tmp_path, kind)))
    expected = (
        ROWS if kind != "tsv" else [{**r, "text": r["text"].replace("\n", " ")} for r in ROWS]
    )
    assert [dict(one.columns) for one in found] == expected
    assert len({one.place for one in found}) == len(ROWS)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_a_span_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    source = opened(write(tmp_path, kind))
    found = whole(source)
    for first in range(len(found)):
        for last in range(first, len(found)):
            begin, end = found[first].span, found[last].span
            part = read(source, Span(begin.begin, end.end, begin.line), ("id", "text"))
            assert part == found[first : last + 1]


def test_texts_of_a_directory_are_rows(tmp_path: Path) -> None:
    (tmp_path / "t/more").mkdir(parents=True)
    (tmp_path / "t/b.txt").write_text(" two \n")
    (tmp_path / "t/more/a.txt").write_text("one")
    source = opened(tmp_path / "t")
    found = whole(source)
    assert [one.columns for one in found] == [
        {"id": "b", "text": "two"},
        {"id": "more/a", "text": "one"},
    ]
    assert read(source, found[1].span) == found[1:]


def test_a_pattern_stands_for_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        dataset_runs.write_table(tmp_path / f"{name}.jsonl", ROWS[:1])
    found = sources([str(tmp_path / "[ab].jsonl")], tmp_path / "listing")
    assert [Path(one.name).name for one in found] == ["a.jsonl", "b.jsonl"]


def test_an_address_is_read_through_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    lines = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    fsspec.filesystem("memory").pipe_file("/sets/rows.jsonl", lines.encode())
    (source,) = sources(["memory://sets/rows.jsonl"], Path("listing"))
    found = whole(source)
    assert [dict(one.columns) for one in found] == ROWS
    assert read(source, found[2].span) == found[2:3]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": "x", "text": "a', "not JSON"),
        (b'{"id": "x", "text": "\xff"}', "not UTF-8 text: byte 21 of the line"),
        (b"[1, 2]", "expected an object, got list"),
    ],
)
def test_a_damaged_line_is_a_problem_of_its_row(tmp_path: Path, line: bytes, words: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "a"}\n' + line + b'\n{"id": "b"}\n')
    found = whole(opened(path))
    assert [bool(one.problem) for one in found] == [False, True, False]
    assert words in found[1].problem
    assert found[1].place == "rows.jsonl line 2"


def test_a_csv_row_of_another_length_is_a_problem_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\na,one\nb,two,three\nc,four\n")
    found = whole(opened(path))
    assert [one.problem for one in found] == ["", "expected 2 columns, got 3", ""]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.txt", "a", "is not a table; expected .jsonl, .csv"),
        ("rows.csv", "", "is empty: expected a line with the names"),
        ("rows.csv", "a,b,a\n", "duplicate column in a, b, a"),
        ("rows.parquet", "PAR1", "is not a parquet file"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        opened(tmp_path / name)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        opened(tmp_path / "none.csv")
