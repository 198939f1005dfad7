"""What `--check` finds in a folder, without the network."""

import json
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
import torch_files
from hub_server import download, refused

from importers.hub import manifest, record
from importers.release.locate import MAIN
from indextts_jax.cli import runner


def file(name: str, **known: object) -> manifest.File:
    return manifest.File(repository=MAIN, name=name, path=name, **known)  # type: ignore[arg-type]


SAFE = b"\x02\0\0\0\0\0\0\0{}"
KNOWN = file("bpe.model", size=1, sha256="")
SIZED = file("feat1.pt", size=1)
UNKNOWN = [file("gpt.pth"), file("s2mel.safetensors"), file("config.json"), file("config.yaml")]
PART = [file("q/a", part=manifest.TEXT_EMOTION), file("q/b", part=manifest.TEXT_EMOTION)]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hub_server.Hub]:
    torch_files.save(tmp_path / "gpt.pth", {})
    gpt = (tmp_path / "gpt.pth").read_bytes()
    files = [KNOWN, SIZED, *UNKNOWN]
    contents = dict(zip(files, [b"pieces", gpt, gpt, SAFE, b"{}", b"a: 1"], strict=True))
    with hub_server.used(monkeypatch, {**contents, **dict.fromkeys(PART, b"x")}) as hub:
        yield hub


@pytest.fixture
def folder(hub: hub_server.Hub, tmp_path: Path) -> Path:
    """A folder of files that did not come by this program."""
    for (_, name), content in hub.files.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "files"


def test_good_directory_passes_and_names_the_checks(
    hub: hub_server.Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download("--dst", folder, "--check") == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split(maxsplit=2)[2] for line in out.splitlines()[2:10]}
    assert rows["bpe.model"] == "SHA-256"
    assert rows["feat1.pt"] == "size, its own header"
    assert rows["gpt.pth"] == "its own header"
    assert "all 8 files are present" in out
    assert f"indextts_jax.import --src {folder}" in out
    assert hub.requests == []


def test_downloaded_files_are_checked_by_hash(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    assert download("--dst", folder) == 0
    assert download("--dst", folder, "--check") == 0
    assert capsys.readouterr().out.count("SHA-256") == 8
    (folder / "config.yaml").write_bytes(b"a: 2")
    error = refused(capsys, "--dst", folder, "--check", code=runner.BAD_INPUT)
    assert f"{folder / 'config.yaml'} differs from what was published" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "damage", "match"),
    [
        ("bpe.model", lambda content: content + b"!", "has 7 bytes; 6 expected"),
        ("bpe.model", lambda content: content[::-1], "differs from what was published"),
        ("gpt.pth", lambda content: content[:-5], "cut off"),
        ("gpt.pth", lambda content: content.replace(b"data.pkl", b"data.pkx", 1), "not where it"),
        ("gpt.pth", lambda content: b"version https://git-lfs.github.com/spec/v1", "LFS pointer"),
        ("s2mel.safetensors", lambda content: content[:-1], "cut off"),
        ("config.json", lambda content: content[:-1], "is not JSON"),
        ("config.yaml", lambda content: b"", "the file is empty"),
    ],
)
def test_a_wrong_file_is_named(
    hub: hub_server.Hub,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage,
    match: str,
) -> None:
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    error = refused(capsys, "--dst", folder, "--check", code=runner.BAD_INPUT)
    assert str(folder / name) in error
    assert match in error
    assert error.count("\n") == 1


def test_everything_that_is_missing_or_wrong_is_listed(
    hub: hub_server.Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").unlink()
    (folder / "gpt.pth").unlink()
    (folder / "bpe.model").write_bytes(b"other")
    for name in ("a", "b"):
        (folder / "q" / name).unlink()
    first, *lines, last = refused(
        capsys, "--dst", folder, "--check", code=runner.BAD_INPUT
    ).splitlines()
    assert first == f"4 problems with the files of {folder}"
    assert [line.split()[0] for line in lines] == ["missing:"] * 3 + [f"{folder}/bpe.model"]
    assert "all 2 files of text_emotion (--without text_emotion skips them)" in lines[2]
    assert last.endswith(f"python -m indextts_jax.download --dst {folder}")


def test_one_file_of_a_part_is_missing_by_its_name(
    hub: hub_server.Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "q/a").unlink()
    error = refused(capsys, "--dst", folder, "--check", code=runner.BAD_INPUT)
    assert f"missing: {folder}/q/a (q/a of {MAIN})" in error
    assert download("--dst", folder, "--check", "--without", "text_emotion") == 0


def test_a_wrong_file_that_is_there_stops_the_download_and_stays(
    hub: hub_server.Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bpe.model").write_bytes(b"mine, and longer")
    (folder / "gpt.pth").unlink()
    error = refused(capsys, "--dst", folder, code=runner.BAD_INPUT)
    assert f"{folder}/bpe.model has 16 bytes; 6 expected" in error
    assert hub.requests == []
    assert download("--dst", folder, "--accept", "bpe.model") == 0
    assert (folder / "bpe.model").read_bytes() == b"mine, and longer"
    assert download("--dst", folder, "--accept", "bpe.model", "--check") == 0


def test_arrays_in_another_format_are_taken_as_they_are(hub: hub_server.Hub, folder: Path) -> None:
    (folder / "feat1.pt").unlink()
    (folder / "feat1.safetensors").write_bytes(SAFE)
    assert download("--dst", folder, "--check") == 0


@pytest.mark.parametrize("folder_name", ["none", "empty"])
def test_empty_directory_is_all_missing(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder_name: str
) -> None:
    (tmp_path / "empty").mkdir()
    error = refused(capsys, "--dst", tmp_path / folder_name, "--check", code=runner.BAD_INPUT)
    assert error.count("missing: ") == 7
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2, "files": {}}',
        '{"format": 1, "files": {"a": {}}}',
        json.dumps(
            {
                "format": 1,
                "files": {
                    "a": dict.fromkeys(["repository", "name", "commit", "size", "sha256"], "1")
                },
            }
        ),
    ],
)
def test_damaged_record_is_reported(
    hub: hub_server.Hub, folder: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (folder / record.FILE).write_text(content)
    for more in (["--check"], ["--dry_run"], []):
        error = refused(capsys, "--dst", folder, *more, code=runner.BAD_INPUT)
        assert f"{folder / record.FILE} is damaged" in error
        assert error.count("\n") == 1
