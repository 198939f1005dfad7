"""Downloads that are stopped from outside: a full disk, Ctrl-C, another download."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import hub_server
import numpy as np
import pytest
from hub_server import download, refused

from importers.hub import fetch, manifest
from importers.release.locate import MAIN
from indextts_jax.cli import runner

BIG = np.random.default_rng(0).bytes(700_001)
FILE = manifest.File(repository=MAIN, name="gpt.safetensors", path="gpt.safetensors", size=1)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    with hub_server.used(monkeypatch, {FILE: BIG}) as hub:
        yield hub


def kept(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob(".*.partial")]


def goes_on(hub: hub_server.Hub, folder: Path) -> bool:
    """Whether another run asks for the rest alone, and completes the file."""
    (size,) = kept(folder)
    hub.requests.clear()
    hub.cuts.clear()
    assert 0 < size < len(BIG)
    assert not (folder / FILE.path).exists()
    assert download("--dst", folder) == 0
    asked = [request.headers.get("Range") for request in hub.asked("GET")]
    return asked == [f"bytes={size}-"] * 2 and (folder / FILE.path).read_bytes() == BIG


def test_full_disk_is_reported_before_downloading(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = type("Usage", (), {"free": 64 * 2**20 + len(BIG) - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    error = refused(capsys, "--dst", tmp_path / "a", code=runner.BAD_INPUT)
    assert "has 0.07 GB free; another 0.07 GB are needed" in error
    assert not hub.asked("GET")
    assert not (tmp_path / "a").exists()
    usage.free += 1
    assert download("--dst", tmp_path / "a") == 0


def test_partial_files_reduce_the_needed_space(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.cuts[FILE.name] = [200_000] + [0] * 99
    refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    (size,) = kept(tmp_path)
    usage = type("Usage", (), {"free": 64 * 2**20 + len(BIG) - size})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert goes_on(hub, tmp_path)


def test_a_disk_that_fills_up_keeps_what_came(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(file: BinaryIO, block: bytes) -> None:
        if file.tell() > 200_000:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
        file.write(block)

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "write", write)
        error = refused(capsys, "--dst", tmp_path, code=runner.FAILURE)
    assert error.startswith(f"{tmp_path}: the disk is full, after ")
    assert error.count("\n") == 1
    assert goes_on(hub, tmp_path)


def test_unwritable_directory_is_reported(
    hub: hub_server.Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: Path, *words: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = refused(capsys, "--dst", tmp_path / "a", code=runner.BAD_INPUT)
    assert error == f"{tmp_path / 'a'}: Permission denied\n"


PROGRAM = """
import sys
from importers.hub import command, manifest, remote
from indextts_jax.cli import runner

manifest.FILES = (manifest.File(repository=manifest.MAIN, name={name!r}, path={name!r}),)
runner.run(command.main, command.define, name="download", summary="", common=())
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_a_part_that_is_taken_up(
    hub: hub_server.Hub, tmp_path: Path, number: int
) -> None:
    hub.cuts[FILE.name] = [400_000]
    hub.hold = threading.Event()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(name=FILE.name), "--dst", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1"},
    )
    deadline = time.monotonic() + 60
    while not any(kept(tmp_path)) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    hub.hold.set()
    if number != signal.SIGKILL:
        assert process.returncode == runner.INTERRUPTED, err
        warning, error = err.splitlines()
        assert warning == ("warning: downloaded data is kept, and the same command resumes")
        assert error.startswith("error: ")
        assert sorted(path.name[:5] for path in tmp_path.iterdir()) == [".gpt."]
    assert goes_on(hub, tmp_path)


def test_two_downloads_do_not_meet(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.cuts[FILE.name] = [400_000]
    hub.hold = threading.Event()
    codes: list[int] = []
    first = threading.Thread(target=lambda: codes.append(download("--dst", tmp_path)))
    first.start()
    deadline = time.monotonic() + 60
    while not any(kept(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.01)
    error = refused(capsys, "--dst", tmp_path, code=runner.BAD_INPUT)
    assert error == f"another download is writing to {tmp_path}\n"
    hub.hold.set()
    first.join(60)
    assert codes == [0]
    assert (tmp_path / FILE.path).read_bytes() == BIG
    assert kept(tmp_path) == []
