"""The Ray engine on a real local cluster: kills, two drivers at once, what goes through Ray."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dataset_runs
import pytest
from dataset_runs import driver, numbered, planned, processes, until, write_table

from indextts_jax.errors import InputError
from indextts_jax.jobs.output import Output
from indextts_jax.jobs.plan import read_packs, read_plan
from indextts_jax.jobs.verify import verify

pytest.importorskip("pyarrow")
KILLS = 30
STARTS = 6  # tries; Ray gives its processes half a minute
PATIENT = {  # a machine that is busy with other tests is slow, not dead
    "RAY_AUTH_MODE": "disabled",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_health_check_initial_delay_ms": "60000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_failure_threshold": "20",
    "RAY_worker_register_timeout_seconds": "600",
}


def test_a_missing_ray_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(3)))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'needs Ray: pip install "indextts-jax\[ray\]"'):
        dataset_runs.speak(tmp_path / "out", engine="ray")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of this machine, with four logical CPUs."""
    pytest.importorskip("ray", reason="Ray is not installed")
    for _ in range(STARTS):
        process, found = _started(tmp_path_factory.mktemp("ray") / "log")
        if found:
            yield found
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        if found:
            return
    pytest.fail("Ray does not start here")


def _started(log: Path) -> "tuple[subprocess.Popen[bytes], str]":
    """A cluster's process and address; without an address if it did not start in time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # Actors import this package, and their child processes the tests' speaker.
    path = os.pathsep.join([str(dataset_runs.ROOT), str(dataset_runs.HERE)])
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={port}"]
    command += ["--num-cpus=4", "--include-dashboard=false", "--disable-usage-stats"]
    command += ["--object-store-memory=100000000", "--block"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **PATIENT, "PYTHONPATH": path},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    until(lambda: b"runtime started" in log.read_bytes() or process.poll() is not None, 300)
    return process, f"127.0.0.1:{port}" if process.poll() is None else ""


def check_complete(output: Path, rows: int) -> None:
    """Each row of the input is there once, and the set is clean."""
    place = Output(output)
    plan, found = read_plan(place), dataset_runs.rows(output)
    pairs = [pair for pack in read_packs(place) for pair in plan.rows_of(pack)]
    assert len(pairs) == rows
    assert [(row["id"], row["key"]) for row in found] == [(row.id, key) for row, key in pairs]
    report = verify(place)
    assert report.clean, report.text()


@pytest.mark.nightly
def test_kills_at_random_moments_lose_and_double_nothing(address: str, tmp_path: Path) -> None:
    count, chance = 600, random.Random(0)
    output = tmp_path / "out"
    planned(output, write_table(tmp_path / "rows.jsonl", numbered(count)))
    words = (output, "ray", 2, 0.02, address)
    run = driver(*words)
    killed: dict[str, int] = {}
    while sum(killed.values()) < KILLS:
        done = len(Output(output).done())
        until(lambda: len(Output(output).done()) > done or run.poll() is not None, 600)  # noqa: B023
        assert len(Output(output).done()) < 120, "all was done before all kills"
        if run.poll() is not None:
            run = driver(*words)
            continue
        until(lambda: processes(output), 600)
        child, actor = chance.choice(processes(output))
        victim = chance.choice(("child", "child", "child", "actor", "actor", "driver"))
        pid = {"child": child, "actor": actor, "driver": run.pid}[victim]
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed[victim] = killed.get(victim, 0) + 1
        print(f"{sum(killed.values())}: {victim} killed with {len(Output(output).done())} packs")
        if victim == "driver":
            run.wait()
            run = driver(*words)
    assert run.wait(1200) == 0
    print(killed)
    check_complete(output, count)
    until(lambda: not processes(output), 60)


@pytest.mark.nightly
def test_two_drivers_at_once_make_each_pack_once(address: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    planned(output, write_table(tmp_path / "rows.jsonl", numbered(100)))
    runs = [driver(output, "ray", 2, 0.02, address) for _ in range(2)]
    assert [run.wait(1200) for run in runs] == [0, 0]
    check_complete(output, 100)
    assert verify(Output(output)).orphans == 0


@pytest.mark.nightly
def test_a_row_that_kills_its_worker_is_named(address: str, tmp_path: Path) -> None:
    rows = numbered(20)
    rows[7]["text"] = "exit at once, please, and now."
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", rows))
    assert driver(tmp_path / "out", "ray", 2, 0, address).wait(1200) == 0
    check_complete(tmp_path / "out", 20)
    expected = ["ok"] * 7 + ["killed_worker"] + ["ok"] * 12
    assert dataset_runs.statuses(tmp_path / "out") == expected


@pytest.mark.nightly
def test_a_changed_input_ends_the_run(address: str, tmp_path: Path) -> None:
    table = write_table(tmp_path / "rows.jsonl", numbered(20))
    planned(tmp_path / "out", table)
    table.write_text(table.read_text().replace("number 17", "number 18"))
    assert driver(tmp_path / "out", "ray", 2, 0, address).wait(1200) == 1
    assert len(Output(tmp_path / "out").done()) < len(read_packs(Output(tmp_path / "out")))
    assert verify(Output(tmp_path / "out")).problems == ()


@pytest.mark.nightly
def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(3)))
    with pytest.raises(InputError, match=r"ray_address 127\.0\.0\.1:1: "):
        dataset_runs.speak(tmp_path / "out", engine="ray", address="127.0.0.1:1")
