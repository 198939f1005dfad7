"""Worker processes: rows that kill them, processes that are killed, a run that is stopped."""

import concurrent.futures
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import dataset_runs
import pytest
from dataset_runs import numbered, planned, processes, until, write_table

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs import local
from indextts_jax.jobs.deadline import SKIPPED, Deadline
from indextts_jax.jobs.output import TEMPORARY, Output
from indextts_jax.jobs.plan import read_packs
from indextts_jax.jobs.verify import verify
from indextts_jax.jobs.worker import Closed, Worker

pytest.importorskip("pyarrow")


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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_worker_does_not_outlive_its_driver(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(30)))
    driver = dataset_runs.driver(tmp_path / "out", "local", 1, 0.05)
    until(lambda: Output(tmp_path / "out").done())
    assert [parent for _, parent in processes(tmp_path / "out")] == [driver.pid]
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    until(lambda: not processes(tmp_path / "out"), 20)
    dataset_runs.speak(tmp_path / "out", workers=2)
    assert dataset_runs.statuses(tmp_path / "out") == ["ok"] * 30
    assert verify(Output(tmp_path / "out")).clean


def test_two_runs_at_once_make_each_pack_once(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(40)))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(dataset_runs.speak, tmp_path / "out", delay=0.01) for _ in range(2)]
        made = [run.result() for run in runs]
    packs = len(read_packs(Output(tmp_path / "out")))
    assert {one["pack"] for run in made for one in run} == set(range(packs))
    report = verify(Output(tmp_path / "out"))
    assert (report.clean, report.orphans) == (True, 0)
    assert dataset_runs.statuses(tmp_path / "out") == ["ok"] * 40


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


@pytest.mark.nightly
def test_a_small_disk_that_is_full_leaves_no_marker(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path / "out")]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(60)))
        output = Output(tmp_path / "out")
        with pytest.raises(Failure, match="No space left on device"):
            dataset_runs.speak(tmp_path / "out")
        report = verify(output)
        assert 0 < len(output.done()) < report.packs
        assert (report.problems, report.orphans) == ((), 0)
        assert os.listdir(tmp_path / "out" / TEMPORARY) == []
        remount = [str(mount), "-o", "remount,size=8m", str(tmp_path / "out")]
        subprocess.run(remount, check=True, capture_output=True)
        dataset_runs.speak(tmp_path / "out")
        assert verify(output).clean
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=False)
