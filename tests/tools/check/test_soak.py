"""The long run: its laws, its mix of requests, and a short one of its kind."""

import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import support

from importers import command
from indextts_jax.audio.io import load_audio
from indextts_jax.cli import runner
from indextts_jax.runtime import cache_folder
from tools.check import soak
from tools.check.soaking import meters
from tools.check.soaking.meters import Sample
from tools.check.soaking.requests import clips, requests


def samples(**growth: Any) -> list[Sample]:
    """A hundred looks at a process; each named number grows by so much from look to look."""
    flat = {
        "resident": 1 << 30,
        "in_use": 1 << 29,
        "traced": 1000,
        "objects": 500,
        "arrays": 10,
        "array_bytes": 4000,
        "compiled": 0,
    }
    return [
        Sample(utterance=10 * look, **{k: v + look * growth.get(k, 0) for k, v in flat.items()})
        for look in range(1, 101)
    ]


def test_steady_process_passes() -> None:
    assert soak.broken_laws(samples(), [], same=True) == []


@pytest.mark.parametrize(
    ("growth", "compiled", "same", "complaint"),
    [
        ({"arrays": 1}, [], True, "arrays grew from 15 to 110"),
        ({"array_bytes": 4}, [], True, "array_bytes grew"),
        ({"traced": 2048}, [], True, "traced grew by"),
        ({"objects": 10}, [], True, "objects grew by"),
        ({"resident": 1 << 21}, [], True, "resident grew by"),
        ({"in_use": 1 << 18}, [], True, "in_use grew by"),
        ({}, ["jit(add)"], True, "1 compilations after the warm-up: jit(add)"),
        ({}, [], False, "other samples at the end"),
    ],
)
def test_each_check_fails_on_what_it_forbids(
    growth: dict[str, int], compiled: Sequence[str], same: bool, complaint: str
) -> None:
    (wrong,) = soak.broken_laws(samples(**growth), compiled, same)
    assert complaint in wrong


def test_growth_before_settling_is_ignored() -> None:
    early = [sample for sample in samples(arrays=1, objects=1000) if sample.utterance <= 50]
    assert soak.broken_laws(early, [], same=True) == []


def test_unmeasured_memory_passes() -> None:
    untold = [Sample(**{**vars(sample), "resident": None, "in_use": None}) for sample in samples()]
    assert soak.growth(untold, "resident") is None
    assert soak.broken_laws(untold, [], same=True) == []


def test_resident_memory_growth_is_measured() -> None:
    before = meters.resident()
    if before is None:
        pytest.skip("this system does not say how much memory a process has")
    # Of the system's own: what `malloc` gives may have been resident, and free, before.
    with mmap.mmap(-1, 64 << 20) as ballast:
        pages = len(ballast) // mmap.PAGESIZE
        ballast[:: mmap.PAGESIZE] = b"x" * pages
        after = meters.resident()
        assert after is not None
        assert after - before > len(ballast) // 2


def test_requests_repeat_and_vary() -> None:
    todo = requests(200, voices=4, seed=0)
    assert todo == requests(200, voices=4, seed=0)
    assert todo != requests(200, voices=4, seed=1)
    assert {request.voice for request in todo} == set(range(4))
    assert {request.emotion for request in todo} == {"own", "prompt", "weights"}
    words = [len(request.text.split()) for request in todo]
    assert min(words) == 1
    assert max(words) > 60


def test_one_recording_becomes_four_clips_of_different_lengths() -> None:
    lengths = [len(load_audio(clip, 16000)) for clip in clips([support.TINY / "speaker.wav"])]
    assert len(set(lengths)) == 4


def test_missing_checkpoint_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    assert soak.main(["--checkpoint", str(tmp_path / "none"), "--speaker", "a.wav"]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.nightly
def test_hundred_utterances_and_four_threads_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    target = tmp_path / "tiny"
    argv = [f"--src={support.CHECKPOINTS}", f"--dst={target}"]
    runner.execute(
        command.main, command.define, name="import", summary="", common=command.COMMON, argv=argv
    )
    speaker = str(support.TINY / "speaker.wav")
    code = soak.main(
        ["--checkpoint", str(target), "--speaker", speaker, "--utterances", "100", "--sentences=5"]
    )
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    # What other tests hold in the same process is not deleted with this model.
    assert [law for law in report["broken"] if "are deleted" not in law] == []
    assert code in (0, 1)
    assert report["soak"]["compiled_after_warm_up"] == 0
    assert report["threads"]["different"] == 0
