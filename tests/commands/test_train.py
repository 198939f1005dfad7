"""The command train, with a toy objective in the place of networks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import toy_objective
from toy_objective import Toy

from indextts_jax import train
from indextts_jax.cli import runner
from indextts_jax.runtime import cache_folder
from indextts_jax.training.loop.run import Measured
from indextts_jax.training.loop.saves import read_best, steps_in

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


# The command in a process of its own, which is interrupted.
ALONE = """
import signal, sys
from types import SimpleNamespace
signal.signal(signal.SIGINT, signal.default_int_handler)  # may have been ignored
sys.path[:0] = sys.argv[1].split(":")
import test_train
from indextts_jax import train
from indextts_jax.runtime import cache_folder
train.Source = test_train.FakeSource
train.registry = SimpleNamespace(build=lambda *given: test_train.Toy())
cache_folder.enable_compilation_cache = lambda: None
sys.exit(test_train.run(*sys.argv[2:]))
"""


@pytest.mark.nightly
def test_ctrl_c_saves_and_ends_with_130(tmp_path: Path) -> None:
    here = Path(__file__).parent
    paths = ":".join(map(str, (here, here.parent / "helpers", here.parents[1])))
    many = ("--set=steps=100000", "--set=evaluation.every=50", "--set=evaluation.patience=null")
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE, paths, *NEW, *many],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 3"):
            break
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "stopping after this step, with a save" in error
    assert "interrupted" in out
    assert "resume with: python -m indextts_jax.train --dst run --resume" in out
    (*_, last) = steps_in(tmp_path / "run")
    assert 3 <= last < 100_000
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    assert lines[-1] == {"kind": "end", "step": last, "reason": "interrupted", "asked": True}


class Heard:
    """In the place of samples and judges: the error rate falls, then rises."""

    RATES: ClassVar[dict[int, float]] = {0: 0.5, 3: 0.1, 6: 0.3}

    def __init__(self, judges: Any, judged_best: bool, **given: Any):
        self.judges, self.judged_best = judges, judged_best

    def __call__(self, step: int, params: Any) -> Measured:
        values = {"judges": {"wer": self.RATES[step]}}
        if not self.judged_best:
            return Measured(values)
        return Measured(values, score=self.RATES[step], metric=self.judges.metric)


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Flags of a run with a judge, which is none."""
    monkeypatch.setattr(FakeSource, "saved", SimpleNamespace(path=tmp_path))
    monkeypatch.setattr(train, "Samples", Heard)
    monkeypatch.setattr(train, "load_model", lambda *given, **named: None)
    monkeypatch.setattr(train, "Recogniser", lambda folder, language: lambda signal: "words")
    (tmp_path / "anna.wav").touch()
    return ("--judge_asr=whisper", "--sample_prompt=anna.wav")


def test_judges_choose_the_best(
    tmp_path: Path, judged: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*NEW, *judged, "--set=evaluation.patience=null", "--stop_after=1h") == 0
    best = read_best(tmp_path / "run")
    assert (best.metric, best.best, best.base) == ("word error rate", 3, 0.5)
    assert "step 6: word error rate 0.3000" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    told = {line["step"]: line for line in lines if line["kind"] == "evaluation"}
    assert told[3]["judges"] == {"wer": 0.1}
    assert told[3]["score"] == 0.1
    assert told[3]["loss"] != 0.1
    report = (tmp_path / "run/report.md").read_text()
    assert "The best save is that of step 3: word error rate 0.1000" in report
    assert "| word errors |" in report
    assert run("--dst=run", "--resume") == runner.BAD_INPUT  # without the judge
    assert "was chosen by word error rate, and would now be by validation loss" in (
        capsys.readouterr().err
    )


def test_the_loss_may_choose_although_judges_are_there(
    tmp_path: Path, judged: tuple[str, ...]
) -> None:
    assert run(*NEW, *judged, "--set=evaluation.best=loss") == 0
    best = read_best(tmp_path / "run")
    assert best.metric == "validation loss"
    assert best.best == min(best.scores, key=lambda score: score.value).step


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((), "give --dst"),
        (("--dst=run",), "give --recipe and --data, or --resume"),
        (("--dst=run", "--resume"), "run is not the directory of a run"),
        ((*NEW, "--set=steps"), "--set steps: expected PATH=VALUE"),
        ((*NEW, "--set=steps=many"), "steps: expected int"),
        ((*NEW, "--stop_after=soon"), "--stop_after: expected a time such as 2h45m"),
        ((*NEW, "--devices=99"), "--devices 99: only"),
        (("--recipe=nope", "--data=data", "--dst=run"), "nope: expected a .yaml file, or one of"),
        (("--recipe=toy.yaml", "--data=none", "--dst=run"), "none holds no prepared data"),
        ((*NEW, "--guard=none"), "none holds no prepared data"),
        ((*NEW, "--judge_asr=none"), "--judge_asr none: expected a Whisper model"),
        ((*NEW, "--judge_speaker=none"), "none: there is no such file"),
    ],
)
def test_bad_input_gives_one_line(
    tmp_path: Path, argv: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == runner.BAD_INPUT
    error = capsys.readouterr().err.splitlines()
    assert told in error[-1]
    assert not (tmp_path / "run").exists()
