"""What stops a run: time, signals, a full disk; what is lost is the steps since the last save."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from toy_objective import session

from indextts_jax.cli.interruption import Terminated, postponed
from indextts_jax.errors import Failure, InputError
from indextts_jax.training.loop import saves, stop
from indextts_jax.training.loop.saves import Saves, steps_in
from indextts_jax.training.loop.session import train
from indextts_jax.training.recipe import SavesRecipe


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h45m", 9900), ("90m", 5400), ("30s", 30), ("1.5h", 5400)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert stop.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2h45", "2x", "-1h"])
def test_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="expected a time such as 2h45m"):
        stop.seconds_of(text)


def test_a_deadline_is_a_reason() -> None:
    clock = iter([0.0, 1.0, 2.0])
    deadline = stop.Deadline(2.0, now=lambda: next(clock))
    assert deadline() is None
    assert deadline() == "the time limit was reached"


def test_the_first_signal_waits_and_the_second_raises() -> None:
    notes: list[str] = []
    with postponed(notes.append) as came:
        assert came() is None
        signal.raise_signal(signal.SIGTERM)
        assert came() == signal.SIGTERM
        assert len(notes) == 1
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.nightly
def test_a_full_disk_leaves_the_saves_before_it(tmp_path: Path) -> None:
    opened = session(tmp_path / "data", saves=SavesRecipe(every=1))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = iter(range(99))

    def asked() -> None:
        if next(done) == 2:  # after the saves of steps 1 and 2
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, limit[1]))

    try:
        with pytest.raises(Failure, match=r"cannot write .*File too large"):
            train(tmp_path / "run", opened, asked=asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    found = steps_in(tmp_path / "run")
    assert found[-1] in (1, 2, 3)  # a save goes on while the next steps do
    assert not list((tmp_path / "run" / "steps").glob(".*"))
    whole = session(tmp_path / "data", saves=SavesRecipe(every=1))
    assert train(tmp_path / "run", whole, resume=True).step == 20


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_middle_of_a_save(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM waits for the save and makes its own; SIGKILL leaves the one before."""
    session(tmp_path / "data")
    quick = str(int(jax.config.read("jax_disable_most_optimizations")))  # rounding depends on it
    process = subprocess.Popen(
        [sys.executable, __file__, tmp_path / "data", tmp_path / "run", quick],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    end = time.monotonic() + 120
    while not (tmp_path / "run/steps/.4.partial").exists():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(60)
    found = steps_in(tmp_path / "run")
    assert found == ([2, 4, 5] if number == signal.SIGTERM else [2])
    again = session(tmp_path / "data", saves=SavesRecipe(every=2, best=9, last=9))
    ending = train(tmp_path / "run", again, resume=True)
    assert ending.step == 20
    whole = train(tmp_path / "whole", session(tmp_path / "data"))
    assert whole.step == 20
    states = [
        Saves(tmp_path / run, again.recipe.saves).load(20, again.setup.state)
        for run in ("run", "whole")
    ]
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_a_damaged_save_is_named(tmp_path: Path) -> None:
    train(tmp_path / "run", session(tmp_path / "data"), asked=lambda: "stopped")
    (name,) = (tmp_path / "run/steps").iterdir()
    largest = max(name.rglob("*"), key=lambda path: path.stat().st_size)
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        train(tmp_path / "run", session(tmp_path / "data"), resume=True)


def main(data: Path, run: Path, quick: bool) -> None:
    """Trains with slow saves; the one of step 4 is long in writing."""
    write = saves.write_arrays

    def slowly(folder: Path, trees: object) -> None:
        if ".4." in str(folder):
            time.sleep(3)
        write(folder, trees)  # type: ignore[arg-type]

    saves.write_arrays = slowly
    jax.config.update("jax_disable_most_optimizations", quick)
    jax.config.update("jax_default_matmul_precision", "highest")
    opened = session(data, saves=SavesRecipe(every=2, best=9, last=9))
    with postponed(lambda line: None) as came:
        count = iter(range(99))

        def asked() -> str | None:
            if next(count) >= 3:
                for _ in range(100):  # what comes in the middle of the save of step 4
                    if came() is not None:
                        return "terminated"
                    time.sleep(0.05)
            return None

        train(run, opened, asked=asked)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1")
