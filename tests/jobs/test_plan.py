"""Plans: keys, equal rows, packs that cover the input, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import dataset_runs
import fake_speaker
import pytest
from dataset_runs import numbered, planned, write_table

from indextts_jax.errors import InputError
from indextts_jax.jobs.output import Output
from indextts_jax.jobs.plan import PLAN, Plan, read_packs, read_plan, read_same
from indextts_jax.jobs.rows import Common, key_of

pytest.importorskip("pyarrow")


def all_rows(output: Path) -> list[Any]:
    plan = read_plan(Output(output))
    return [pair for pack in read_packs(Output(output)) for pair in plan.rows_of(pack)]


def test_packs_cover_each_row_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = [{"id": f"{name}{n}", "text": f"{name} {n} and more words."} for n in range(23)]
        write_table(tmp_path / f"{name}.jsonl", rows)
    made = planned(tmp_path / "out", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    packs = read_packs(Output(tmp_path / "out"))
    assert len(packs) == made.packs > 6
    assert [pack.number for pack in packs] == list(range(len(packs)))
    assert max(pack.seconds for pack in packs) <= 10
    pairs = all_rows(tmp_path / "out")
    assert [row.number for row, _ in pairs] == list(range(46))
    assert len({row.id for row, _ in pairs}) == len({key for _, key in pairs}) == 46


def test_a_plan_comes_back(tmp_path: Path) -> None:
    table = write_table(tmp_path / "rows.jsonl", [*numbered(5), {"id": "x", "text": ""}])
    common = Common(columns={"voice": "who"}, voice="anna", seed=7, language="en")
    made = planned(tmp_path / "out", table, common=dataclasses.replace(common, columns={}))
    there = read_plan(Output(tmp_path / "out"))
    assert there == made.plan
    assert planned(tmp_path / "out", table, common=made.plan.common).packs == made.packs
    assert (there.rows, there.refused, there.same) == (6, 1, 0)


CHANGES: dict[str, Any] = {
    "text": "other words",
    "voice": "bob",
    "seed": 5,
    "speed": 1.5,
    "language": "zh",
    "glossary": "terms.yaml",
    "emotion": {"weights": [1.0]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_codes_depend_on_changes_the_key(tmp_path: Path, name: str) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(1)))
    ((row, key),) = all_rows(tmp_path / "out")
    digests = {"anna": "1", "bob": "2", "terms.yaml": "3"}
    common = fake_speaker.ABOUT.digest
    assert key_of(row, common, {"anna": "digest of anna"}) == key
    other = dataclasses.replace(row, **{name: CHANGES[name]})
    assert key_of(other, common, digests) != key_of(row, common, digests)
    assert key_of(row, common, digests | {"anna": "9"}) != key_of(row, common, digests)
    more = dataclasses.replace(fake_speaker.ABOUT, fingerprint="1").digest
    assert key_of(row, more, digests) != key_of(row, common, digests)
    moved = dataclasses.replace(row, id="z", number=9, place="elsewhere", speaker="x")
    assert key_of(moved, common, digests) == key_of(row, common, digests)


def test_equal_rows_are_linked_to_the_first(tmp_path: Path) -> None:
    rows = numbered(12)
    for n, first in ((4, 1), (7, 1), (11, 10)):
        rows[n]["text"] = rows[first]["text"]
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", rows))
    assert read_same(Output(tmp_path / "out")) == {4: 1, 7: 1, 11: 10}


def test_ids_that_occur_twice_are_refused_with_both_places(tmp_path: Path) -> None:
    rows = numbered(20)
    rows[13]["id"] = "r0002"
    first = write_table(tmp_path / "a.jsonl", rows[:10])
    second = write_table(tmp_path / "b.jsonl", rows[10:])
    with pytest.raises(InputError) as refused:
        planned(tmp_path / "out", first, second)
    message = str(refused.value)
    assert f"'r0002': {first}, a.jsonl line 3 and {second}, b.jsonl line 4" in message
    assert not (tmp_path / "out" / PLAN).exists()


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path / "rows.jsonl", [{"sentence": "a b"}])
    with pytest.raises(InputError, match="column text is missing; it has sentence"):
        planned(tmp_path / "out", table)
    common = Common(columns={"text": "sentence"})
    with pytest.raises(InputError, match="column voice is missing"):
        planned(tmp_path / "out", table, common=common)
    with pytest.raises(InputError, match="columns: words unknown"):
        Common(columns={"words": "text"})
    made = planned(tmp_path / "out", table, common=dataclasses.replace(common, voice="anna"))
    assert made.plan.rows == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "  "}, "text: empty"),
        ({"text": None}, "text: empty"),
        ({"text": ["a"]}, "text: expected words"),
        ({"text": "a" * 102_400}, "text: 102,400 characters; at most 5,000"),
        ({"text": "a\0b"}, "text: contains NUL at character 2"),
        ({"text": "a\ud800b"}, "text: not UTF-8"),
        ({"voice": "nobody"}, "voice: nobody does not exist"),
        ({"voice": 7}, "voice: expected a name or a path"),
        ({"seed": "x"}, "seed: expected a whole number, got 'x'"),
        ({"seed": -1}, "seed: must be 0 to 4294967295, got -1"),
        ({"speed": "fast"}, "speed: expected a number, got 'fast'"),
        ({"emotion_weights": [1, 2]}, "emotion_weights: expected 8 numbers"),
        ({"emotion_weights": "joy=1"}, "emotion_weights: expected 8 numbers"),
        ({"emotion": "nobody"}, "emotion: nobody does not exist"),
        ({"emotion_bias": "perhaps"}, "emotion_bias: expected true or false"),
        ({"id": "a\nb"}, "id: expected at most 500 printable characters"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_row_is_refused_alone(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    rows = [*numbered(2), {"text": "a b", "id": "bad", **row}, *numbered(4)[2:]]
    made = planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", rows))
    assert (made.plan.rows, made.plan.refused) == (5, 1)
    assert words in made.problems[0]
    assert "rows.jsonl line 3" in made.problems[0]
    found = {row.number: row.problem for row, _ in all_rows(tmp_path / "out")}
    assert [bool(found[n]) for n in range(5)] == [False, False, True, False, False]


def test_emotions_are_read(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [
        {"emotion": "sad.wav", "emotion_alpha": "0.6"},
        {"emotion_weights": "happy=0.5,calm=0.1", "emotion_random": "true"},
        {"emotion_weights": {"happy": 0.5, "calm": 0.1}, "emotion_random": True},
        {"emotion_text": "glad", "emotion_bias": False},
    ]
    rows = [{**row, **more} for row, more in zip(numbered(4), given, strict=True)]
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", rows))
    weights = [0.5, 0, 0, 0, 0, 0, 0, 0.1]
    assert [row.emotion for row, _ in all_rows(tmp_path / "out")] == [
        {"prompt": "sad.wav", "alpha": 0.6},
        {"weights": weights, "random": True},
        {"weights": weights, "random": True},
        {"text": "glad"},
    ]


@pytest.mark.parametrize("change", ["text", "cut", "order", "voice"])
def test_a_changed_input_is_refused(tmp_path: Path, change: str) -> None:
    table = write_table(tmp_path / "rows.jsonl", numbered(20))
    planned(tmp_path / "out", table)
    lines = table.read_text().splitlines(keepends=True)
    match change:
        case "text":
            lines[3] = lines[3].replace("number", "nimber")
        case "cut":
            lines = lines[:3]
        case "order":
            lines[2:4] = reversed(lines[2:4])
        case "voice":
            lines[3] = json.dumps({**json.loads(lines[3]), "voice": "bob"}) + "\n"
    table.write_text("".join(lines))
    plan, packs = read_plan(Output(tmp_path / "out")), read_packs(Output(tmp_path / "out"))
    with pytest.raises(InputError, match="has changed since the plan was made: rows 1 to"):
        plan.rows_of(packs[0])


def test_another_plan_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path / "rows.jsonl", numbered(20))
    planned(tmp_path / "out", table)
    before = (tmp_path / "out" / PLAN).read_bytes()
    with pytest.raises(InputError, match="has another plan"):
        planned(tmp_path / "out", table, common=Common(voice="bob"))
    assert (tmp_path / "out" / PLAN).read_bytes() == before


def test_a_directory_without_a_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no plan: make one with"):
        read_plan(Output(tmp_path))


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows in"):
        planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", []))


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(2)))
    path = tmp_path / "out" / PLAN
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "format": 99}))
    with pytest.raises(InputError, match="expected a plan of format 1, found 99"):
        read_plan(Output(tmp_path / "out"))
    path.write_text(json.dumps({**data, "about": {}}))
    with pytest.raises(InputError, match="is damaged"):
        read_plan(Output(tmp_path / "out"))
    assert isinstance(Plan, type)
    assert dataset_runs.statuses(tmp_path / "out") == []
