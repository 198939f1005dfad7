"""Counts, rates, shares and times."""

import time
from typing import Any

import pytest

from indextts_jax.errors import InputError
from indextts_jax.jobs.deadline import Deadline
from indextts_jax.jobs.progress import Tally, parse_share, parse_span


def made(ok: int, failed: int = 0, at: float = 0.0) -> dict[str, Any]:
    counts = {"ok": ok, "failed": failed}
    return {"counts": counts, "audio": 10.0, "compute": 5.0, "finished": at}


def test_too_many_rows_are_a_share_of_those_done_and_of_at_least_a_thousand() -> None:
    tally = Tally(rows=100_000, packs=100, seconds=1e5)
    tally.add(made(90, 9), 10)
    assert not tally.too_many(0.01)  # 9 of 1,000 at least
    tally.add(made(90, 2), 10)
    assert tally.too_many(0.01)
    small = Tally(rows=20, packs=2, seconds=40)
    small.add(made(9, 1), 10)
    assert not small.too_many(0.05)
    assert small.too_many(0.04)


def test_the_time_left_is_that_of_the_recent_rate() -> None:
    now = time.time()
    tally = Tally(rows=100, packs=10, seconds=100)
    assert tally.left(now) is None
    for ago in (40, 30, 20, 10):
        tally.add(made(10, at=now - ago), 10)
    assert tally.left(now) == pytest.approx(60 / (30 / 40))
    assert "packs   4 of 10" in tally.text()
    assert tally.data()["statuses"]["ok"] == 40


def test_a_deadline_allows_what_fits() -> None:
    assert Deadline(None).allows(1e9)
    deadline = Deadline(time.time() + 60)
    assert deadline.allows(1e9)  # nothing is known yet
    deadline.note(seconds=10, spent=5)
    assert deadline.allows(100)
    assert not deadline.allows(120)
    assert not deadline.passed()
    assert Deadline(time.time() - 1).passed()


@pytest.mark.parametrize(
    ("word", "seconds"), [("90", 90), ("90s", 90), ("45m", 2700), ("3h30m", 12600), ("1.5 h", 5400)]
)
def test_a_time_is_read(word: str, seconds: float) -> None:
    assert parse_span(word) == seconds


@pytest.mark.parametrize("word", ["", "soon", "3x", "h", "-5", "1..5h"])
def test_another_time_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="deadline must be a time such as"):
        parse_span(word)


def test_a_share_is_read() -> None:
    assert parse_share("1%") == parse_share("0.01") == 0.01
    for word in ("x", "101%", "-1", "nan"):
        with pytest.raises(InputError, match="max_failed must be a share"):
            parse_share(word)
