"""Small records that outlast the process."""

import dataclasses
from pathlib import Path

from indextts_jax.training.data.rows.facts import Facts


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


def never() -> Point:
    raise AssertionError("it is known")


def test_saved_records_are_not_recomputed(tmp_path: Path) -> None:
    path = tmp_path / "new/facts.jsonl"
    facts = Facts(path)
    assert facts.get(Point, "a", lambda: Point(1)) == Point(1)
    assert facts.get(Point, "a", never) == Point(1)
    facts.save()
    facts = Facts(path)
    assert facts.get(Point, "a", never) == Point(1)
    facts.get(Point, "b", lambda: Point(2))
    facts.save()
    assert Facts(path).get(Point, "b", never) == Point(2)
    assert len(path.read_text().splitlines()) == 2


def test_a_torn_last_line_costs_one_record(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    facts = Facts(path)
    for key in "ab":
        facts.get(Point, key, lambda: Point(1))
    facts.save()
    path.write_text(path.read_text()[:-5])
    facts = Facts(path)
    assert facts.get(Point, "a", never) == Point(1)
    assert facts.get(Point, "b", lambda: Point(3)) == Point(3)
    facts.save()
    assert Facts(path).get(Point, "b", never) == Point(3)


def test_a_record_of_another_form_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text('{"key": "a", "value": {"y": 1}}\n')
    assert Facts(path).get(Point, "a", lambda: Point(2)) == Point(2)
