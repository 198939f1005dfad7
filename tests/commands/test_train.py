"""The command train, with a toy objective in the place of networks."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import toy_objective
from toy_objective import Toy

from indextts_jax import train
from indextts_jax.cli import runner
from indextts_jax.runtime import cache_folder
from indextts_jax.training.loop.saves import steps_in

RECIPE = """
objective: toy
steps: 6
batch: {seconds: 16, buckets: [4], multiple: 4}
optimizer: {rate: 0.03}
log: {every: 1}
evaluation: {every: 3}
"""


class FakeSource:
    saved = None
    components = ("toy",)
    config = None

    def __init__(self, recipe: Any, checkpoint: str | None):
        self.recipe = recipe

    def check_data(self, data: Any, needs: Any) -> None:
        pass

    def base(self, names: Any) -> Any:
        return toy_objective.base()


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "Source", FakeSource)
    monkeypatch.setattr(train, "registry", SimpleNamespace(build=lambda *given: Toy()))
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(RECIPE)
    toy_objective.data(tmp_path / "data")


def run(*argv: str) -> int:
    return runner.execute(
        train.main, train.define, name="train", summary="", common=train.COMMON, argv=argv
    )


NEW = ("--recipe=toy.yaml", "--data=data", "--dst=run")


def test_a_run_stops_at_a_signal_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*NEW, "--dry_run") == 0
    assert "hours" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()

    def later(line: str) -> None:
        if line.startswith("step 2"):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train, "say", later)
    assert run(*NEW) == 143
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "Source", FakeSource)
    monkeypatch.setattr(train, "registry", SimpleNamespace(build=lambda *given: Toy()))
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    stopped = steps_in(tmp_path / "run")[-1]
    assert stopped in (2, 3)
    assert run("--dst=run", "--resume", "--set=optimizer.rate=1.0") == runner.BAD_INPUT
    assert "optimizer.rate was 0.03, now 1.0" in capsys.readouterr().err
    assert run("--dst=run", "--resume", "--stop_after=1h", "--set=saves.every=2") == 0
    assert steps_in(tmp_path / "run")[-1] == 6
    assert "ended after step 6: all steps are done" in capsys.readouterr().out
    assert "(base)" in (tmp_path / "run/report.md").read_text()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((), "give --dst"),
        (("--dst=run",), "give --recipe and --data, or --resume"),
        (("--dst=run", "--resume"), "run is not the folder of a run"),
        ((*NEW, "--set=steps"), "--set steps: expected PATH=VALUE"),
        ((*NEW, "--set=steps=many"), "steps: expected int"),
        ((*NEW, "--stop_after=soon"), "--stop_after: expected a time such as 2h45m"),
        ((*NEW, "--devices=99"), "--devices 99: there"),
        (("--recipe=nope", "--data=data", "--dst=run"), "nope: expected a .yaml file, or one of"),
        (("--recipe=toy.yaml", "--data=none", "--dst=run"), "none holds no prepared data"),
        ((*NEW, "--guard=none"), "none holds no prepared data"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, argv: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == runner.BAD_INPUT
    error = capsys.readouterr().err.splitlines()
    assert told in error[-1]
    assert not (tmp_path / "run").exists()
