"""Packs from their rows to their commit, in this process: exactly once, whole, or not at all."""

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import dataset_runs
import fake_speaker
import pytest
from dataset_runs import MIXED, STATUSES, numbered, planned, speak_here, write_table
from fake_speaker import FakeSpeaker

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs import output as outputs
from indextts_jax.jobs import work as working
from indextts_jax.jobs.output import DATA, TEMPORARY, Output
from indextts_jax.jobs.rows import Common
from indextts_jax.jobs.verify import verify
from indextts_jax.jobs.work import Work

pytest.importorskip("pyarrow")


def files(output: Path) -> list[str]:
    return sorted(os.listdir(output / DATA))


@pytest.fixture(params=["parquet", "webdataset"])
def spoken(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A finished set with every status but one."""
    table = write_table(tmp_path / "rows.jsonl", MIXED)
    planned(tmp_path / "out", table, audio=request.param)
    assert all(speak_here(tmp_path / "out"))
    return tmp_path / "out"


def test_each_row_has_one_status(spoken: Path) -> None:
    rows = dataset_runs.rows(spoken)
    assert [row["id"] for row in rows] == [row["id"] for row in MIXED]
    assert [row["status"] for row in rows] == STATUSES
    assert [row["same_as"] for row in rows] == [0 if s == "same" else None for s in STATUSES]
    assert rows[5]["key"] == rows[0]["key"]
    assert rows[4]["reasons"] == ["text: contains NUL at character 2"]
    assert rows[6]["reasons"] == ["ValueError: it cannot be spoken"]
    assert rows[7]["faults"] == ["long"]
    assert verify(Output(spoken)).clean
    assert os.listdir(spoken / TEMPORARY) == []


def test_a_finished_pack_is_not_spoken_again(spoken: Path) -> None:
    before = files(spoken)
    assert speak_here(spoken, [0, 1]) == [False, False]
    assert files(spoken) == before


class Late(FakeSpeaker):
    """While it speaks, another worker finishes the same pack."""

    def speak(self, rows: Any) -> Any:
        assert speak_here(self.out, [0]) == [True]
        return super().speak(rows)

    out: Path


def test_a_second_finisher_removes_its_own(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(12)))
    late = Late(None)
    late.out = tmp_path / "out"
    assert speak_here(tmp_path / "out", [0], late) == [False]
    marker = Output(tmp_path / "out").marker(0)
    assert files(tmp_path / "out") == sorted(one.name for one in marker.files)


@pytest.mark.parametrize("links", [True, False])
def test_a_marker_is_created_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(outputs.os, "link", refused)
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(5)))
    late = Late(None)
    late.out = tmp_path / "out"
    assert speak_here(tmp_path / "out", [0], late) == [False]
    assert verify(Output(tmp_path / "out")).clean


@pytest.mark.parametrize("place", ["write_audio", "write_rows", "rename", "marker"])
def test_a_full_disk_leaves_no_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(5)))
    with monkeypatch.context() as patch:
        match place:
            case "rename":
                patch.setattr(outputs.Path, "rename", full)
            case "marker":
                patch.setattr(outputs.Path, "write_text", full)
            case _:
                patch.setattr(working, place, full)
        with pytest.raises(Failure, match=r"pack 0 cannot be written to .*: No space left"):
            speak_here(tmp_path / "out")
    assert Output(tmp_path / "out").done() == set()
    assert files(tmp_path / "out") == []
    assert os.listdir(tmp_path / "out" / TEMPORARY) == []
    assert speak_here(tmp_path / "out") == [True]


def test_input_that_changes_during_the_run_ends_it(tmp_path: Path) -> None:
    table = write_table(tmp_path / "rows.jsonl", numbered(12))
    planned(tmp_path / "out", table)
    speak_here(tmp_path / "out", [0])
    text = table.read_text()
    table.write_text(text.replace("number 9", "number 8"))
    with pytest.raises(InputError, match="has changed since the plan was made"):
        speak_here(tmp_path / "out")
    table.write_text(text)
    speak_here(tmp_path / "out")
    assert dataset_runs.statuses(tmp_path / "out") == ["ok"] * 12


def test_rows_alone_have_the_outcomes_of_rows_together(spoken: Path, tmp_path: Path) -> None:
    table = spoken.parent / "rows.jsonl"
    planned(tmp_path / "other", table)
    speak_here(tmp_path / "other", alone=tmp_path / "segments", killed=[1])
    first, second = dataset_runs.rows(spoken), dataset_runs.rows(tmp_path / "other")
    pack = [one.rows for one in Work.open(tmp_path / "other").packs]
    killed = {sum(pack[:n]) + 1 for n in range(len(pack))}
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        if number not in killed or one["status"] in ("refused", "same"):
            assert {**one, "worker": ""} == {**other, "worker": ""}
        else:
            assert (other["status"], other["seconds"]) == ("killed_worker", 0)


def test_damage_is_found(spoken: Path) -> None:
    output = Output(spoken)
    marker = output.marker(1)
    audio, rows = (output.file(marker.file(kind)) for kind in ("audio", "rows"))
    whole = audio.read_bytes()

    def lines() -> list[str]:
        return [message for _, message in verify(output).problems]

    audio.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert lines() == [f"pack 1: {audio} is damaged: its SHA-256 is not the recorded one"]
    audio.write_bytes(whole[:-1])
    assert "its size is not the recorded one" in lines()[0]
    audio.unlink()
    assert lines() == [f"pack 1: {audio} is missing"]
    audio.write_bytes(whole)
    other = output.file(output.marker(0).file("rows"))
    mixed = dataclasses.replace(
        marker, files=(marker.file("audio"), outputs.hash_file(other, other.name))
    )
    write_marker(output, mixed)
    assert any("its ids and keys are not those of the plan" in line for line in lines())
    write_marker(output, marker)
    assert verify(output).clean
    output.marker_path(1).write_text("{")
    assert "is damaged: remove it, and run makes the pack again" in lines()[0]
    output.marker_path(1).unlink()
    report = verify(output)
    assert (report.missing, report.clean, report.orphans) == (1, False, 2)
    assert rows.exists()


def write_marker(output: Output, marker: outputs.Marker) -> None:
    import json

    from indextts_jax.utils.strict_data import to_data

    output.marker_path(marker.pack).write_text(json.dumps(to_data(marker)))


def test_a_recording_in_two_packs_is_found(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(12)))
    speak_here(tmp_path / "out")
    output = Output(tmp_path / "out")
    first, second = output.marker(0), output.marker(1)
    twice = dataclasses.replace(second, files=(first.file("audio"), second.file("rows")))
    write_marker(output, twice)
    problems = [message for _, message in verify(output).problems]
    assert "pack 1: a recording of pack 0 is in it, too" in problems


def test_a_recording_that_is_cut_off_is_found(tmp_path: Path) -> None:
    class Short(FakeSpeaker):
        def _outcome(self, row: Any) -> Any:
            made = super()._outcome(row)
            return dataclasses.replace(made, samples=made.samples + 1)

    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(2)))
    speak_here(tmp_path / "out", speaker=Short(None))
    report = verify(Output(tmp_path / "out"))
    assert len(report.problems) == 2
    assert "samples at 8000 Hz, expected" in report.problems[0][1]
    assert verify(Output(tmp_path / "out"), decode=False).clean


def test_columns_of_other_names_are_spoken(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("sentence,who,n\nhello there.,bob,1\ngood morning.,anna,2\n")
    columns = {"text": "sentence", "voice": "who", "id": "n"}
    planned(tmp_path / "out", table, common=Common(columns=columns))
    speak_here(tmp_path / "out")
    assert [row["id"] for row in dataset_runs.rows(tmp_path / "out")] == ["1", "2"]
    assert fake_speaker.ABOUT.digest
