"""Worker processes: rows that kill them, processes that are killed, a run that is stopped."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import dataset_runs
import pytest
from dataset_runs import numbered, planned, write_table

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs import local
from indextts_jax.jobs.deadline import SKIPPED, Deadline
from indextts_jax.jobs.output import TEMPORARY, Output
from indextts_jax.jobs.plan import read_packs
from indextts_jax.jobs.verify import verify
from indextts_jax.jobs.worker import Closed, Worker

pytest.importorskip("pyarrow")


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_row_that_kills_its_worker_is_named_and_left_out(tmp_path: Path) -> None:
    rows = numbered(9)
    rows[2]["text"] = "exit at once, please, and now."
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", rows))
    made = dataset_runs.speak(tmp_path / "out")
    assert sum(one["counts"].get("killed_worker", 0) for one in made) == 1
    expected = ["ok"] * 2 + ["killed_worker"] + ["ok"] * 6
    assert dataset_runs.statuses(tmp_path / "out") == expected
    assert dataset_runs.rows(tmp_path / "out")[2]["reasons"] == ["its worker process died twice"]
    assert verify(Output(tmp_path / "out")).clean
    assert os.listdir(tmp_path / "out" / TEMPORARY) == []


def test_stopping_ends_the_worker_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    rows = numbered(9)
    rows[7]["text"] = "slow, this row is slow indeed."
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", rows))
    output = Output(tmp_path / "out")
    output.prepare()
    packs = read_packs(output)
    spec = dataset_runs.spec(tmp_path / "out")
    engine = local.speak_local(packs, [spec], Deadline(None))
    assert next(engine)["pack"] == 0
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    assert output.done() == {0}
    assert os.listdir(tmp_path / "out" / TEMPORARY) == []


def test_a_worker_does_not_outlive_its_driver(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(30)))
    driver = dataset_runs.driver(tmp_path / "out", "local", 1, 0.05)
    until(lambda: Output(tmp_path / "out").done())
    (child,) = children(driver.pid)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    until(lambda: not alive(child), 10)
    dataset_runs.speak(tmp_path / "out", workers=2)
    assert dataset_runs.statuses(tmp_path / "out") == ["ok"] * 30
    assert verify(Output(tmp_path / "out")).clean


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    if not found.exists():
        pytest.skip("needs /proc")
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in paths for word in path.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_errors_of_the_process_are_raised_here(tmp_path: Path) -> None:
    table = write_table(tmp_path / "rows.jsonl", numbered(3))
    planned(tmp_path / "out", table)
    table.write_text("")
    with pytest.raises(InputError, match="has changed since"):
        dataset_runs.speak(tmp_path / "out")
    worker = Worker(dataset_runs.spec(tmp_path / "out"))
    worker.close()
    with pytest.raises(Closed):
        worker.run(0)


@pytest.mark.nightly
def test_a_process_that_cannot_start_is_a_failure(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(3)))
    spec = dataset_runs.spec(tmp_path / "out")
    broken = type(spec)(output=spec.output, environment={"PYTHONPATH": "", "PYTHONHOME": "/none"})
    with pytest.raises(Failure, match="before it could speak a row"):
        Worker(broken).run(0)


def test_no_pack_begins_that_would_not_end_in_time(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(9)))
    output = Output(tmp_path / "out")
    output.prepare()
    deadline = Deadline(time.time() + 100)
    deadline.note(seconds=1, spent=1000)
    packs = read_packs(output)
    made = list(local.speak_local(packs, [dataset_runs.spec(tmp_path / "out")], deadline))
    assert [one[SKIPPED] for one in made] == [True] * len(packs)
    assert output.done() == set()
