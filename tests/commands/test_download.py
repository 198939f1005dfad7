"""The download command: what it asks for, what comes, and where it is put."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_server
import jax
import pytest
import support
from hub_server import download, refused

from importers.hub import manifest, record
from importers.release.locate import AUXILIARY
from importers.speech import Importer
from indextts_jax.cli import runner
from indextts_jax.models.components import COMPONENTS

# Where the tiny set keeps what is published elsewhere.
TINY = {auxiliary.places[0]: auxiliary.places[1] for auxiliary in AUXILIARY.values()}


def tiny(file: manifest.File) -> bytes:
    """What the tiny set has for a published file; of the emotion model, only something readable."""
    if file.part is not None:
        return b"{}" if file.path.endswith(".json") else b"\x02\0\0\0\0\0\0\0{}"
    weights = file.beside or file.path
    held = support.CHECKPOINTS / TINY.get(weights, weights)
    return (held.with_name(file.name) if file.beside else held).read_bytes()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    contents = {file: tiny(file) for file in manifest.FILES}
    with hub_server.used(monkeypatch, contents) as hub:
        yield hub


def test_everything_comes_and_the_importer_takes_it(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    src = tmp_path / "checkpoints"
    assert download("--dst", src) == 0
    printed = capsys.readouterr()
    for file in manifest.FILES:
        assert (src / file.path).read_bytes() == hub.files[file.repository, file.name]
        assert f"fetched {file.path}: {(src / file.path).stat().st_size:,} bytes" in printed.out
    assert not list(src.rglob(".*"))
    command = f"python -m indextts_jax.import --src {src} --dst indextts2"
    assert printed.out.endswith(f"all files are present: {src}\nnext: {command}\n")
    assert not printed.err

    importer = Importer.open(src)
    for component in set(COMPONENTS) - {manifest.TEXT_EMOTION}:
        assert jax.tree.leaves(importer.read(component)), component


def test_version_2_5_comes_with_the_models_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny25, src = support.DATA / "tiny25/checkpoints", tmp_path / "checkpoints"
    wanted = manifest.wanted((manifest.TEXT_EMOTION,), "2.5")
    contents = {file: (tiny25 / file.path).read_bytes() for file in wanted}
    with hub_server.used(monkeypatch, contents, "FILES_V25"):
        assert download("--version=2.5", "--dst", src) == 0
    printed = capsys.readouterr().out
    assert "IndexTeam/IndexTTS-2.5               bilibili Model Use License\n" in printed
    assert "NON-COMMERCIAL" not in printed
    assert printed.endswith(f"python -m indextts_jax.import --src {src} --dst indextts2_5\n")
    assert {p.relative_to(src).as_posix() for p in src.rglob("*") if p.is_file()} == {
        *(file.path for file in wanted),
        record.FILE,
    }
    assert Importer.open(src).config.version == "2.5"


@pytest.mark.parametrize(("version", "held"), [("2.5", "bpe.model"), ("2.0", "codec.pth")])
def test_a_directory_holds_one_version(
    version: str, held: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / held).touch()
    words = f"has {held}, of another version"
    arguments = "--version", version, "--dst", tmp_path
    assert words in refused(capsys, *arguments, code=runner.BAD_INPUT)


def test_the_notices_come_before_the_first_file(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download("--dst", tmp_path / "a") == 0
    notices, _, rest = capsys.readouterr().out.partition("fetched ")
    assert rest
    for words in (
        "bilibili Model Use License",
        "amphion/MaskGCT                      CC-BY-NC-4.0\n",
        "  NON-COMMERCIAL (the semantic codec)\n",
        "only with the consent of the person",
        "each repository's model card",
    ):
        assert words in notices


def test_a_part_can_be_left_out(hub: hub_server.Hub, tmp_path: Path) -> None:
    assert download("--dst", tmp_path, "--without", "text_emotion") == 0
    assert not (tmp_path / "qwen0.6bemo4-merge").exists()
    assert (tmp_path / "gpt.pth").is_file()
    assert download("--dst", tmp_path, "--without", "text_emotion", "--check") == 0
    assert not hub.asked("GET", "tokenizer.json")


def test_the_token_stays_with_the_hub(hub: hub_server.Hub, tmp_path: Path) -> None:
    assert download("--dst", tmp_path) == 0
    for request in hub.requests:
        told = {name.lower(): value for name, value in request.headers.items()}
        on_the_hub = request.path.startswith("/mirror/hf/")
        assert (told.get("authorization") == "Bearer hf_secret") == on_the_hub, request.path
    assert len(hub.asked("GET", "gpt.pth")) == 2  # the hub, and the host it sends us to
    assert not hub.asked("GET", "/api/xet")


def test_all_of_a_repository_is_taken_at_one_commit(hub: hub_server.Hub, tmp_path: Path) -> None:
    assert download("--dst", tmp_path) == 0
    asked = [request for request in hub.asked("HEAD") if "IndexTTS-2" in request.path]
    revisions = [request.path.partition("/resolve/")[2].split("/")[0] for request in asked]
    assert revisions == ["main"] + [hub_server.COMMIT] * (len(revisions) - 1)
    (tmp_path / "gpt.pth").unlink()
    hub.requests.clear()
    assert download("--dst", tmp_path) == 0
    assert {request.path.count(hub_server.COMMIT) for request in hub.requests[:2]} == {1}


@pytest.mark.parametrize(
    "held",
    [
        "semantic_codec/model.safetensors",
        "hf_cache/models--amphion--MaskGCT/snapshots/01/semantic_codec/model.safetensors",
    ],
)
def test_files_in_other_places_are_not_downloaded(
    hub: hub_server.Hub, tmp_path: Path, held: str
) -> None:
    content = hub.files["amphion/MaskGCT", "semantic_codec/model.safetensors"]
    (tmp_path / held).parent.mkdir(parents=True)
    (tmp_path / held).write_bytes(content)
    assert download("--dst", tmp_path) == 0
    assert not (tmp_path / "hf_cache/semantic_codec_model.safetensors").exists()
    assert not [request for request in hub.requests if "MaskGCT" in request.path]


def test_settings_are_placed_beside_weights(hub: hub_server.Hub, tmp_path: Path) -> None:
    (tmp_path / "bigvgan").mkdir()
    (tmp_path / "bigvgan/bigvgan_generator.pt").write_bytes(
        hub.files["nvidia/bigvgan_v2_22khz_80band_256x", "bigvgan_generator.pt"]
    )
    assert download("--dst", tmp_path) == 0
    assert (tmp_path / "bigvgan/config.json").is_file()
    assert not (tmp_path / "hf_cache/bigvgan").exists()


def test_a_second_run_asks_for_nothing(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download("--dst", tmp_path) == 0
    hub.requests.clear()
    assert download("--dst", tmp_path) == 0
    assert hub.requests == []
    assert "all files are present" in capsys.readouterr().out


def test_a_dry_run_lists_and_does_nothing(
    hub: hub_server.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gpt.pth").write_bytes(b"mine")
    assert download("--dst", tmp_path, "--dry_run") == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:26]}
    assert lines["gpt.pth"] == ["4", "there", "IndexTeam/IndexTTS-2"]
    assert lines["s2mel.pth"] == ["about", "1,200,000,000", "missing", "IndexTeam/IndexTTS-2"]
    assert "to download: about " in out
    assert "NON-COMMERCIAL" in out
    assert hub.requests == []
    assert [path.name for path in tmp_path.iterdir()] == ["gpt.pth"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--without", "gpt"], "only text_emotion can be left out"),
        (["--accept", "gtp.pth"], "--dry_run lists them"),
        (["--check", "--dry_run"], "are mutually exclusive"),
        (["--dst", __file__], "is not a directory"),
    ],
)
def test_bad_flags_are_bad_input(
    arguments: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, *arguments, code=runner.BAD_INPUT)
    assert match in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("version", [None, "0.36.2", "1.2.4", "3.0.0"])
def test_the_package_that_is_missing_or_wrong_is_named(
    version: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    if version is None:
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    else:
        monkeypatch.setattr(huggingface_hub, "__version__", version)
    error = refused(capsys, "--dst", tmp_path / "a", code=runner.BAD_INPUT)
    assert "pip install 'huggingface_hub>=1.3,<3'" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_the_command_starts_without_jax_and_without_the_package() -> None:
    code = (
        "import sys; from importers.hub import command; "
        "print({'jax', 'huggingface_hub', 'httpx', 'httpx2'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


def test_the_command_is_a_module(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "indextts_jax.download", "--dry_run", f"--dst={tmp_path / 'a'}"]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "gpt.pth" in out
    assert "to download: about 8.9 GB" in out
    assert max(map(len, out.splitlines())) <= 120
    assert not (tmp_path / "a").exists()
