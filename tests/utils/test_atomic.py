"""The lock file: one holder at a time, and nothing left, whatever others do meanwhile."""

import contextlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from indextts_jax.errors import InputError
from indextts_jax.utils.atomic import locked

SPAWN = multiprocessing.get_context("spawn")


def hold(path: Path, ready: object) -> None:
    with locked(path, "busy"):
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def contend(path: Path, held: Path, until: float, taken: object) -> None:
    """Takes the lock as often as it can; `held` is there while anyone has it."""
    while time.time() < until:
        with contextlib.suppress(InputError), locked(path, "busy"):
            os.close(os.open(held, os.O_CREAT | os.O_EXCL))  # fails if another is inside
            held.unlink()
            with taken.get_lock():  # type: ignore[attr-defined]
                taken.value += 1  # type: ignore[attr-defined]


def test_a_lock_has_one_holder_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path, "busy"), pytest.raises(InputError, match="busy"), locked(path, "busy"):
        pass
    with locked(path, "busy"):
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_frees_the_lock(tmp_path: Path) -> None:
    path, ready = tmp_path / ".lock", SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(path, ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(InputError, match="busy"), locked(path, "busy"):
        pass
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    with locked(path, "busy"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_two_hold_the_lock_while_its_file_comes_and_goes(tmp_path: Path) -> None:
    taken = SPAWN.Value("i", 0)
    arguments = (tmp_path / ".lock", tmp_path / "held", time.time() + 5, taken)
    processes = [SPAWN.Process(target=contend, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert taken.value > 100
    assert list(tmp_path.iterdir()) == []
