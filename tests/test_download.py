"""The download command against a hub on this machine: what comes, and where it is put."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
import support

from importers import command as import_command
from importers.hub import command, fetch, manifest, record, remote
from importers.locate import AUXILIARY, MAIN
from indextts_jax import cli

pytest.importorskip("huggingface_hub", minversion="1.0")

# Where the tiny set keeps what is published elsewhere.
TINY = {auxiliary.places[0]: auxiliary.places[1] for auxiliary in AUXILIARY.values()}


def run(*arguments: object) -> int:
    return cli.execute(
        command.main,
        command.define,
        name="download",
        summary=command.SUMMARY,
        common=command.COMMON,
        argv=[str(argument) for argument in arguments],
    )


def tiny(file: manifest.File) -> bytes:
    """What the tiny set has for a published file."""
    if file.part is not None:
        return b"{}" if file.path.endswith(".json") else b"\x02\0\0\0\0\0\0\0{}"
    for place, held in TINY.items():
        if file.path == place:
            return (support.CHECKPOINTS / held).read_bytes()
        if file.beside == place:
            return (support.CHECKPOINTS / held).with_name(file.name).read_bytes()
    return (support.CHECKPOINTS / file.path).read_bytes()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    """A hub with the tiny files under the published names, and a manifest that knows them."""
    import huggingface_hub.constants

    files = []
    with hub_server.serving() as hub:
        for file in manifest.FILES:
            content = tiny(file)
            lfs = file.size is not None or (file.about or 0) > 10**7
            hub.add(file.repository, file.name, content, lfs=lfs)
            if file.size is not None:
                file = dataclasses.replace(file, size=len(content))
            if file.sha256 is not None:
                file = dataclasses.replace(file, sha256=hashlib.sha256(content).hexdigest())
            files.append(file)
        monkeypatch.setattr(manifest, "FILES", tuple(files))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(remote, "WAITS", (0.0,) * 4)
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint + "/")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        huggingface_hub.close_session()
        yield hub
        huggingface_hub.close_session()


def test_everything_comes_and_the_importer_takes_it(hub, tmp_path, capsys):
    src = tmp_path / "checkpoints"
    assert run("--dst", src) == 0
    printed = capsys.readouterr()
    for file in manifest.FILES:
        assert (src / file.path).read_bytes() == hub.files[file.repository, file.name]
        assert f"fetched {file.path}: {(src / file.path).stat().st_size:,} bytes" in printed.out
    assert {path.name for path in src.iterdir() if path.name.startswith(".")} == set()
    assert printed.out.endswith(
        f"everything is there: {src}\n"
        f"next: python -m indextts_jax.import --src {src} --dst indextts2\n"
    )
    assert not printed.err
    assert run_import("--src", src, "--dst", tmp_path / "model") == 0


def run_import(*arguments: object) -> int:
    return cli.execute(
        import_command.main,
        import_command.define,
        name="import",
        summary="",
        common=import_command.COMMON,
        argv=[str(argument) for argument in arguments],
    )
