"""Whose segment is next, and how long a listener has to wait."""

from types import SimpleNamespace
from typing import Any

import pytest

from indextts_jax.engine.live.jobs import Job
from indextts_jax.engine.live.schedule import (
    FIRST_STEPS,
    MOST_STEPS,
    Speed,
    StepBudget,
    buffered,
    next_job,
    prebuffer,
)


class Fake(Job):
    """A job as far as the schedule looks."""

    in_work, admissible, seconds = 0.0, True, 0.0  # type: ignore[assignment]

    def __init__(self, **more: Any):
        self.__dict__.update(more)


def job(number: int, **more: Any) -> Job:
    """By default a new stream."""
    usual = {"arrived": 0.0, "moved": 0.0, "started": None, "admitted": 0, "number": number}
    request = {"streamed": more.pop("streamed", True), "owner": more.pop("owner", "")}
    return Fake(**(usual | more), request=SimpleNamespace(**request))


def order(jobs: list[Job], turns: list[str], now: float = 100.0) -> list[int]:
    """The numbers of jobs in the order in which each gets one segment."""
    left, numbers = list(jobs), []
    while (one := next_job(left, turns, now)) is not None:
        numbers.append(one.number)
        left.remove(one)
    return numbers


def test_streams_that_run_dry_come_before_new_ones_and_full_ones_after() -> None:
    dry = job(1, admitted=1, started=95.0, seconds=5.5)
    full = job(2, admitted=1, started=95.0, seconds=25.0)
    fuller = job(3, admitted=1, started=95.0, seconds=5.5, in_work=30.0)
    assert order([fuller, full, job(4), dry], []) == [1, 4, 2, 3]


def test_owners_take_turns() -> None:
    jobs = [job(1, owner="a"), job(2, owner="a"), job(3, owner="b")]
    assert next_job(jobs, ["b", "a"], 0.0) is jobs[2]
    assert next_job(jobs, ["a", "b"], 0.0) is jobs[0]
    assert next_job([*jobs, job(4, owner="new")], ["a", "b"], 0.0) is not jobs[0]


def test_whole_files_fill_the_rest_and_do_not_starve() -> None:
    stream, file = job(1), job(2, streamed=False, moved=90.0)
    assert order([file, stream], []) == [1, 2]
    file.moved = 30.0
    assert order([file, stream], []) == [2, 1]


def test_job_without_an_admissible_segment_is_passed_over() -> None:
    assert next_job([job(1, admissible=False)], [], 0.0) is None


def test_buffer_of_a_stream_that_has_not_begun_is_overdue_since_its_arrival() -> None:
    assert buffered(job(1, arrived=3.0), 5.0) < buffered(job(2, arrived=4.0), 5.0) < 0


def test_steps_fit_into_a_tick() -> None:
    budget = StepBudget(0.05)
    assert budget.steps == FIRST_STEPS
    budget.note(0.02, 2)
    assert budget.steps == 5
    budget.note(9.0, 0)  # not a measurement
    assert budget.steps == 5
    for _ in range(16):
        budget.note(1.0, 1)
    assert budget.steps == 1
    for _ in range(16):
        budget.note(1e-6, 1)
    assert budget.steps == MOST_STEPS


def test_speed_is_audio_over_work() -> None:
    speed = Speed()
    assert speed.rate is None
    speed.note(0.0, 0.5)
    assert speed.rate is None
    speed.note(2.0, 0.5)
    assert speed.rate == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "expected"), [(None, 0.0), (2.0, 0.0), (1.0, 2.0), (0.5, 6.0)], ids=str
)
def test_prebuffer_covers_the_latest_segment(rate: float | None, expected: float) -> None:
    """Segments of 2, 4 and 2 s: at the speed of playing, the second comes 2 s too late."""
    assert prebuffer([2.0, 4.0, 2.0], rate) == pytest.approx(expected)
