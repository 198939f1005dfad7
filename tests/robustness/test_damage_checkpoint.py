"""The damage matrix of checkpoints: what a user who speaks with a damaged one is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import support
from damage import Case, check, complaint, everything, rows, run_import, run_synth

from indextts_jax.runtime import cache_folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "tiny"
    assert run_import("--src", support.CHECKPOINTS, "--dst", path) == 0
    return path


def largest(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def recorded(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Another record of what the checkpoint holds."""

    def damage(model: Path) -> None:
        data = json.loads((model / "provenance.json").read_text())
        change(data)
        (model / "provenance.json").write_text(json.dumps(data))

    return damage


CASES = [
    Case("a flipped byte in the arrays", lambda model: flip(largest(model / "semantic_encoder")),
         ("damaged: ", "semantic_encoder/ocdbt.process_0/d/", "SHA-256")),
    Case("an array file cut off", lambda model: cut(largest(model / "gpt")),
         ("size of ", "gpt/ocdbt.process_0/d/", "bytes, recorded")),
    Case("an array file deleted", lambda model: largest(model / "gpt").unlink(),
         ("missing: ", "gpt/ocdbt.process_0/d/")),
    Case("a deleted component", lambda model: shutil.rmtree(model / "dit"),
         ("missing: the directory dit",)),
    Case("a component that was not imported",
         recorded(lambda data: data["components"].pop(0)),
         ("has no semantic_encoder; import again with python -m indextts_jax.import",)),
    Case("an older version of ours", recorded(lambda data: data.update(format=1)),
         ("is a checkpoint of format 1, from an older program", "indextts_jax.import --src DIR")),
    Case("a newer version of ours", recorded(lambda data: data.update(format=99)),
         ("is a checkpoint of format 99, from a newer program", "upgrade indextts-jax")),
    Case("a key of nobody's", recorded(lambda data: data.update(new=1)),
         ("provenance.json is damaged: unknown key new",)),
    Case("a component of nobody's", recorded(lambda data: data["components"][0].update(name="x")),
         ("unknown components: x",)),
    Case("a component's path that climbs",
         recorded(lambda data: data["components"][0].update(name="../x")),
         ("unknown components: ../x",)),
    Case("a record that is no JSON", lambda model: (model / "provenance.json").write_text("{"),
         ("provenance.json is damaged",)),
    Case("a record nested without end",
         lambda model: (model / "provenance.json").write_text("[" * 99999),
         ("provenance.json is damaged",)),
    Case("no record", lambda model: (model / "provenance.json").unlink(),
         ("is not a checkpoint (provenance.json is missing)", "indextts_jax.import")),
    Case("no mark of Orbax", lambda model: (model / "orbax.checkpoint").unlink(),
         ("is not a checkpoint (orbax.checkpoint is missing)",)),
    Case("changed settings", lambda model: flip(model / "config.yaml"),
         ("damaged: ", "config.yaml", "SHA-256")),
    Case("a changed tokenizer", lambda model: flip(model / "tokenizer.model"),
         ("damaged: ", "tokenizer.model", "SHA-256")),
    Case("no tokenizer", lambda model: (model / "tokenizer.model").unlink(),
         ("missing: ", "tokenizer.model")),
    Case("a published folder", lambda model: (shutil.rmtree(model), model.mkdir()),
         ("is not a checkpoint", "indextts_jax.import")),
    Case("no folder", lambda model: shutil.rmtree(model), ("does not exist",)),
    Case("a file", lambda model: (shutil.rmtree(model), model.touch()), ("is not a directory",)),
]  # fmt: skip


@rows(CASES)
def test_a_damaged_checkpoint_does_not_speak(
    case: Case,
    sound: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)
    case.damage(shutil.copytree(sound, tmp_path / "model"))
    before = everything(tmp_path)
    speaker = support.TINY / "speaker.wav"
    code = run_synth("--checkpoint=model", "--text=Hello.", "--speaker", speaker)
    check(case, code, complaint(capsys))
    assert everything(tmp_path) == before
