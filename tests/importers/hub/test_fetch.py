"""Downloads that go wrong: what is told, what is kept, what is never left behind."""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import hub_server
import numpy as np
import pytest
from hub_server import download, refused

from importers.hub import fetch, manifest, remote
from importers.hub.progress import Progress
from importers.release.locate import MAIN
from indextts_jax.cli import runner

BIG = np.random.default_rng(0).bytes(700_001)
CONTENTS = {
    manifest.File(repository=MAIN, name="config.yaml", path="config.yaml"): b"version: 2.0\n",
    manifest.File(
        repository=MAIN, name="big.safetensors", path="sub/big.safetensors", size=1, sha256=""
    ): BIG,
}
LAST = "sub/big.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    with hub_server.used(monkeypatch, CONTENTS) as hub:
        yield hub


def partials(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob(".*.partial")]


def complete(folder: Path) -> bool:
    """Whether everything is there, and nothing else but the record."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return names == {"config.yaml", LAST, "downloaded.json"} and (folder / LAST).read_bytes() == BIG


def starts(hub: hub_server.Hub) -> list[str | None]:
    """From where the parts of the big file were asked for, of the host that has it."""
    return [
        r.headers.get("Range")
        for r in hub.asked("GET", "big.safetensors")
        if r.path.startswith("/cdn/")
    ]


def test_a_broken_connection_is_taken_up_where_it_broke(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.cuts["big.safetensors"] = [300_000]
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)
    first, second = starts(hub)
    assert first is None
    assert second is not None
    assert 200_000 < int(second.removeprefix("bytes=").rstrip("-")) <= 300_000
    err = capsys.readouterr().err
    assert "for big.safetensors of IndexTeam/IndexTTS-2" in err
    assert "retrying in 0 s" in err


@pytest.mark.parametrize("ranges", [True, False])
def test_bytes_are_counted_once_also_if_a_server_sends_them_twice(
    hub: hub_server.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(Progress, "step", lambda self, count: counted.append(count))
    hub.cuts["big.safetensors"] = [300_000]
    hub.ranges = ranges
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)
    assert sum(counted) == sum(len(content) for content in CONTENTS.values())
    assert starts(hub)[1] is not None


def test_attempts_are_bounded_and_the_next_run_goes_on(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.cuts["big.safetensors"] = [100_000] * len(remote.WAITS) + [140_000] + [0] * 99
    error = refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    assert "gave up after 5 attempts; downloaded data is kept" in error
    assert error.count("\n") == 1
    (kept,) = partials(tmp_path)
    assert 100_000 < kept < len(BIG)
    assert not (tmp_path / LAST).exists()

    hub.cuts.clear()
    hub.requests.clear()
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)
    assert starts(hub) == [f"bytes={kept}-"]
    assert f"{kept:,} bytes are here from an earlier run" in capsys.readouterr().out


def test_an_attempt_that_gets_on_is_not_counted(
    hub: hub_server.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ENOUGH", 50_000)
    hub.cuts["big.safetensors"] = [70_000] * 8
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)
    assert len(starts(hub)) == 9


def test_a_part_of_another_version_is_not_joined(hub: hub_server.Hub, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.big.safetensors.0123456789ab.partial").write_bytes(b"of another version")
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)
    assert starts(hub) == [None]


def test_a_part_that_was_damaged_is_found_out(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.cuts["big.safetensors"] = [200_000] + [0] * 99
    refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    (partial,) = tmp_path.rglob(".*.partial")
    partial.write_bytes(bytes(partial.stat().st_size))
    hub.cuts.clear()
    error = refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    assert f"got a wrong file for {tmp_path / LAST}" in error
    assert partials(tmp_path) == []
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)


@pytest.mark.parametrize("lie", [BIG[:-1], BIG + b"\0", b"\0" + BIG[1:]])
@pytest.mark.parametrize("name", ["big.safetensors", "config.yaml"])
def test_a_wrong_file_is_named_and_not_left(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    lie: bytes,
) -> None:
    right = dict(zip(["config.yaml", "big.safetensors"], CONTENTS.values(), strict=True))[name]
    hub.lies[name] = lie if name.startswith("big") else lie[: len(right) + len(lie) - len(BIG)]
    error = refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    assert name in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob(name))
    assert all(size < len(right) for size in partials(tmp_path))


def test_a_file_of_unknown_hash_is_compared_with_the_hub(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, big = manifest.FILES
    monkeypatch.setattr(manifest, "FILES", (dataclasses.replace(big, size=None, sha256=None),))
    hub.lies["big.safetensors"] = b"\0" + BIG[1:]
    error = refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    assert f"the hub says {hashlib.sha256(BIG).hexdigest()[:16]}" in error
    assert list(tmp_path.rglob("*big*")) == []


def test_a_part_that_is_whole_needs_no_more(hub: hub_server.Hub, tmp_path: Path) -> None:
    described = remote.Hub.open().describe(MAIN, "big.safetensors", "main")
    (tmp_path / "sub").mkdir()
    fetch.partial_of(tmp_path / LAST, described).write_bytes(BIG)
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)
    assert starts(hub) == []


def test_file_that_differs_from_the_manifest_stops_before_downloading(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content, match in [
        (BIG[:-1], "has 700,000 bytes on the hub; 700,001 expected"),
        (BIG[::-1], "has different content on the hub"),
    ]:
        hub.add(MAIN, "big.safetensors", content, lfs=True)
        error = refused(capsys, "--dst", tmp_path / "a", code=runner.FAILURE)
        assert match in error
        assert f"--accept {LAST} accepts it" in error
        assert not hub.asked("GET")
        assert not (tmp_path / "a").exists()
    assert download("--dst", tmp_path, "--accept", LAST) == 0
    assert (tmp_path / LAST).read_bytes() == BIG[::-1]


STATUSES: dict[str, tuple[int, dict[str, str], str]] = {
    "gone": (404, {"X-Error-Code": "EntryNotFound"}, "has no big.safetensors of IndexTeam/Ind"),
    "no repository": (404, {"X-Error-Code": "RepoNotFound"}, "(404, revision "),
    "gated": (401, {"X-Error-Code": "GatedRepo"}, "Accept the terms on "),
    "private": (401, {}, "set HF_TOKEN"),
    "forbidden": (403, {}, "answers 403 for big.safetensors"),
    "busy": (503, {}, "answers 503 for big.safetensors of IndexTeam/IndexTTS-2: the server is"),
    "too many": (429, {"Retry-After": "0"}, "answers 429 for big.safetensors of "),
    "odd": (418, {}, "answers 418 for big.safetensors"),
}


@pytest.mark.parametrize("what", STATUSES)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_answer_without_a_file_gives_one_line(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    what: str,
    method: str,
) -> None:
    status, headers, match = STATUSES[what]
    hub.statuses["big.safetensors"] = [(status, headers)] * 9
    if method == "GET":
        hub.spare["big.safetensors"] = 1
    error = refused(capsys, "--dst", tmp_path / "a", code=runner.FAILURE)
    assert match in error
    assert error.count("\n") == 1
    assert (tmp_path / "a").exists() == (method == "GET")  # the first file came


def test_a_busy_server_is_asked_again(hub: hub_server.Hub, tmp_path: Path) -> None:
    hub.statuses["big.safetensors"] = [(503, {}), (429, {"Retry-After": "0"})]
    assert download("--dst", tmp_path) == 0
    assert complete(tmp_path)


def test_requested_wait_is_respected(
    hub: hub_server.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    hub.statuses["big.safetensors"] = [(503, {"Retry-After": "7"}), (429, {"Retry-After": "9999"})]
    assert download("--dst", tmp_path) == 0
    assert [seconds for seconds in slept if seconds > 1] == [7.0, remote.MAX_WAIT]


def test_no_route_is_one_line(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = refused(capsys, "--dst", tmp_path / "a", code=runner.FAILURE)
    assert error.startswith("no connection to http://127.0.0.1:9, for config.yaml of ")
    assert "refused" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9", "ftp://127.0.0.1", "http://"])
def test_invalid_address_is_bad_input(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "HF_ENDPOINT is" in refused(capsys, "--dst", tmp_path, code=runner.BAD_INPUT)


def test_server_that_is_not_a_hub_is_reported(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.plain = True
    error = refused(capsys, "--dst", tmp_path / "a", code=runner.FAILURE)
    assert "does not answer like a hub" in error


def test_offline_mode_is_respected(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(capsys, "--dst", tmp_path / "a", code=runner.BAD_INPUT)
    assert hub.requests == []
