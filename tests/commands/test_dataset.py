"""The dataset command."""

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import dataset_runs
import fake_speaker
import golden_copies
import pytest
import support
from dataset_runs import numbered, write_table

from indextts_jax import dataset
from indextts_jax.cli import runner
from indextts_jax.jobs.output import Output
from indextts_jax.jobs.worker import Spec
from indextts_jax.voices import store

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.usefixtures("offline")


def run(*argv: object) -> int:
    return runner.execute(
        dataset.main,
        dataset.define,
        name="dataset",
        summary="",
        common=dataset.COMMON,
        positional=("action", "output"),
        groups=dataset.GROUPS,
        argv=[str(argument) for argument in argv],
    )


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table beside a recording, and workers without a model."""
    fake = dataset_runs.spec(tmp_path)
    own = functools.partial(Spec, speaker=fake_speaker.NAME, environment=fake.environment)
    monkeypatch.setattr(dataset, "Spec", own)
    monkeypatch.setenv(store.FOLDER, str(tmp_path / "voices"))
    monkeypatch.chdir(tmp_path)
    shutil.copy(support.TINY / "speaker.wav", "anna.wav")
    return write_table(tmp_path / "rows.jsonl", numbered(12))


def plan(*more: object) -> int:
    usual = ("--input=rows.jsonl", f"--checkpoint={golden_copies.shared()}", "--voice=anna.wav")
    return run("plan", "out", "--pack_seconds=7", *usual, *more)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_set_is_planned_spoken_checked_and_merged(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*numbered(12), {"id": "bad", "text": "a\0b"}]
    rows[5]["text"] = "raise it now, please, at once."
    write_table(table, rows)
    assert plan("--license=CC0-1.0") == 0
    printed = capsys.readouterr()
    assert "out: 13 rows (1 refused, 0 equal to an earlier one), 3 packs" in printed.out
    assert "warning: refused: rows.jsonl line 13 (bad): text: contains NUL" in printed.err
    assert plan("--license=CC0-1.0") == 0  # again: nothing changes
    assert run("verify", "out") == 1
    assert "3 packs are missing: run makes them" in capsys.readouterr().out
    assert run("run", "out", "--device=cpu", "--shard=0/2") == 3
    assert "more than --max_failed 1%" in capsys.readouterr().err
    assert len(Output(Path("out")).done()) == 2
    assert json.loads(Path("out/status-0-of-2.json").read_text())["exit_code"] == 3
    assert run("run", "out", "--device=cpu", "--max_failed=20%", "--deadline=1h") == 0
    printed = capsys.readouterr()
    assert "2 of 3 packs are done: resuming" in printed.out
    assert "rows    13 of 13: 11 ok, 1 refused, 1 failed" in printed.out
    assert run("status", "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["statuses"]["ok"] == 11
    assert run("verify", "out") == 0
    assert "every row is there exactly once" in capsys.readouterr().out
    assert run("merge", "out") == 0
    assert "--manifest" in capsys.readouterr().out
    assert 'license: "CC0-1.0"' in Path("out/merged/README.md").read_text()
    _damage_and_repair(capsys)


def _damage_and_repair(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Path("out"))
    audio = output.file(output.marker(1).file("audio"))
    audio.write_bytes(audio.read_bytes()[:-1])
    assert run("verify", "out", "--remove_damaged") == 1
    printed = capsys.readouterr().out
    assert "pack 1: " in printed
    assert "removed the markers of 1 packs" in printed
    assert output.done() == {0, 2}


def test_a_deadline_ends_a_run_with_packs_left(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan() == 0
    assert run("run", "out", "--device=cpu", "--deadline=0s") == 4
    assert "the deadline was reached: 3 packs are left; run again" in capsys.readouterr().err


ALL: dict[str, Any] = {"checkpoint": "x", "input": "rows.jsonl"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "give an action (plan, run, status, verify, merge) and the directory"),
        (["run"], "give an action"),
        (["speak", "out"], "action"),
        (["plan", "out"], "to plan give --input TABLE and --checkpoint DIR"),
        (["plan", "out", "--workers=2"], "--workers belongs to another action than plan"),
        (["run", "out", "--steps=2"], "--steps belongs to another action than run"),
        (["status", "out"], "has no plan: make one with python -m indextts_jax.dataset plan"),
        (["run", "out", "--shard=4/4"], "shard must be I/N with I from 0 to N - 1"),
        (["run", "out", "--max_failed=2"], "--max_failed must be a share such as 1%"),
        (["run", "out", "--deadline=soon"], "--deadline must be a time such as"),
    ],
)
def test_bad_flags_are_refused(
    table: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert line in complaint(capsys)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("rows", "words", "line"),
    [
        ([{"sentence": "a"}], [], "column text is missing; it has sentence. Map other names with"),
        ([{"text": "a", "id": 1}, {"text": "b", "id": 1}], [], "rows.jsonl line 1 and /"),
        ([{"text": "a"}], ["--columns=words=text"], "--columns: words unknown"),
        ([{"text": "a"}], ["--input=none.csv"], "--input: none.csv does not exist"),
        ([{"text": "a"}], ["--duration=5"], "--duration is for one output"),
        ([{"text": "a"}], ["--pack_seconds=0"], "--pack_seconds must be 1 to 86,400, got 0"),
        ([], [], "no rows in"),
    ],
)
def test_a_bad_table_writes_nothing(
    table: Path,
    rows: list[dict[str, Any]],
    words: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_table(table, rows)
    assert plan(*words) == 2
    assert line in complaint(capsys)
    assert not Path("out").exists()


def test_flags_of_ray_need_its_engine(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan() == 0
    assert run("run", "out", "--device=cpu", "--gpus=1") == 2
    assert "--gpus needs --engine ray" in complaint(capsys)


def test_a_directory_of_texts_is_a_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("Hello world.")
    checkpoint = golden_copies.shared()
    words = ["plan", "out", "--input=texts", f"--checkpoint={checkpoint}", "--voice=nobody"]
    assert run(*words) == 0
    printed = capsys.readouterr()
    assert "1 rows (1 refused" in printed.out
    assert "voice: nobody is neither a recording nor a saved voice" in printed.err
    assert run(*words) == 0
    assert run(*words[:-1], "--voice=anna.wav") == 2
    assert "has another plan" in complaint(capsys)
