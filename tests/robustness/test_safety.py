"""What belongs to the user stays, and what a file says is shown, not obeyed."""

import io
import json
import os
import re
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import support
from damage import complaint, everything, run
from fuzzing import outputs, voice_file

from importers import library
from importers.hub import fetch
from importers.hub.remote import Remote
from indextts_jax import Emotion, IndexTTS, preview, replay, synth, voice
from indextts_jax.audio import output
from indextts_jax.audio.io import load_audio
from indextts_jax.checkpoint import adapter, provenance, writing
from indextts_jax.checkpoint.reading import MARKER, open_checkpoint
from indextts_jax.cli.terminal import say, warn
from indextts_jax.engine import recipe
from indextts_jax.engine.recipe_text import format_recipe
from indextts_jax.errors import Failure, InputError, one_line, printable_json
from indextts_jax.runtime import executable_pack
from indextts_jax.text.glossary import Glossary
from indextts_jax.training.loop.saves import Saves
from indextts_jax.training.recipe import SavesRecipe
from indextts_jax.utils import atomic
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import from_data, to_data
from indextts_jax.voices import store

# Nothing of the user's is deleted or replaced because of its name.


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "mine.txt").write_text("mine")


def a_link_to_a_folder(path: Path) -> None:
    a_folder(path.with_name("elsewhere"))
    path.symlink_to("elsewhere", target_is_directory=True)


def a_link_to_a_file(path: Path) -> None:
    a_file(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("elsewhere")


THINGS = [a_file, a_folder, a_link_to_a_folder, a_link_to_a_file, a_link_to_nothing]


def contents(folder: Path) -> dict[str, Any]:
    return {
        name: (os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes())
        for name in everything(folder)
        for path in [folder / name]
    }


@pytest.mark.parametrize("name", [".model.partial", ".model.lock"])
@pytest.mark.parametrize("thing", THINGS)
def test_what_has_the_name_of_our_own_files_stays(
    tmp_path: Path, thing: Callable[[Path], None], name: str
) -> None:
    thing(tmp_path / name)
    before = contents(tmp_path)
    with (
        pytest.raises(InputError, match="move it away"),
        atomic.staging(tmp_path / "model", force=True, ours=lambda folder: True),
    ):
        pass
    assert contents(tmp_path) == before


def test_a_directory_with_our_mark_behind_a_link_stays(tmp_path: Path) -> None:
    a_link_to_a_folder(tmp_path / ".model.partial")
    (tmp_path / "elsewhere" / atomic.MARK).touch()
    before = contents(tmp_path)
    with (
        pytest.raises(InputError, match="move it away"),
        atomic.staging(tmp_path / "model", force=True, ours=lambda folder: True),
    ):
        pass
    assert contents(tmp_path) == before


@pytest.mark.parametrize("action", [["delete"], ["create", "--force"]])
@pytest.mark.parametrize(
    "data",
    [
        b"mine",
        b"",
        safetensors.numpy.save({"a": np.ones(3)}),
        safetensors.numpy.save({"a": np.ones(3)}, {"format": "pt"}),
    ],
)
def test_what_is_not_a_voice_is_neither_deleted_nor_replaced(
    action: list[str],
    data: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.safetensors").write_bytes(data)
    words = [*action[:1], "m.safetensors", *action[1:]]
    if action[0] == "create":
        words += ["--checkpoint=x", f"--speaker={support.TINY / 'speaker.wav'}"]
    assert run_voice(*words) == 2
    assert "m.safetensors is not a voice file of this program" in complaint(capsys)
    assert (tmp_path / "m.safetensors").read_bytes() == data


def run_voice(*argv: str) -> int:
    from indextts_jax.cli import runner

    return runner.execute(
        voice.main,
        voice.define,
        name="",
        summary="",
        common=voice.COMMON,
        positional=voice.POSITIONAL,
        argv=list(argv),
    )


def test_a_link_to_a_voice_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(voice_file())
    (tmp_path / "b.safetensors").symlink_to("a.safetensors")
    assert run_voice("delete", "b.safetensors") == 2
    assert "b.safetensors is a link" in complaint(capsys)
    assert run_voice("delete", "a.safetensors") == 0
    assert everything(tmp_path) == ["b.safetensors"]


@pytest.mark.parametrize("name", ["notes.txt", "samples", ".git", "voice.wav"])
def test_a_checkpoint_with_something_of_the_users_is_not_replaced(
    tmp_path: Path, name: str
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    for ours in (provenance.FILE, MARKER, "gpt", "config.yaml", ".DS_Store"):
        (target / ours).touch()
    writing.check_destination(target, force=True)
    (target / name).mkdir()
    with pytest.raises(InputError, match=f"also holds {name}, which would be lost"):
        writing.check_destination(target, force=True)


@pytest.mark.parametrize("data", [b"mine", b"", None])
def test_a_zip_file_of_the_users_is_not_replaced_by_a_pack(
    tmp_path: Path, data: bytes | None
) -> None:
    path = tmp_path / "programs.zip"
    if data is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("mine.txt", "mine")
    else:
        path.write_bytes(data)
    before = path.read_bytes()
    with pytest.raises(InputError, match="is not a pack of compiled programs"):
        executable_pack.check_replaceable(path)
    assert path.read_bytes() == before


def test_only_remains_of_saves_are_removed_from_a_run(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    for name in (".7.partial", ".8.removed", ".git", ".notes", ".7.partial.old"):
        (steps / name).mkdir(parents=True)
    (steps / ".9.partial").symlink_to("..", target_is_directory=True)
    Saves(tmp_path, SavesRecipe()).tidy()
    assert sorted(os.listdir(steps)) == [".7.partial.old", ".9.partial", ".git", ".notes"]


def test_a_download_touches_only_its_own_partial_files(tmp_path: Path) -> None:
    from importers.hub.progress import Progress

    mine = [".a.bin.mine.partial", ".a.bin.0123456789AB.partial", ".a.bin.0123.partial"]
    for name in (*mine, ".a.bin.0123456789ab.partial"):
        (tmp_path / name).write_text("mine")

    class Place:
        path = tmp_path / "a.bin"

    remote = Remote("r", "a.bin", "main", "c", "e", 5)
    partial = fetch.partial_of(Place.path, remote)
    (tmp_path / "target").write_text("mine")
    partial.symlink_to("target")
    with pytest.raises(InputError, match="is a link"):
        fetch.fetch(None, Place, remote, Progress(5, 0))  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == sorted([*mine, partial.name, "target"])
    assert (tmp_path / "target").read_text() == "mine"


# What a file says reaches the terminal escaped.

EVIL = "a\x1b[2J\x9b31m\r\u202eb\u2066\x00\u2028\nerror: c\u200f\x7f\ue000"


def harmless(text: str) -> bool:
    return all(c == "\n" or c.isprintable() for c in text)


def test_a_value_is_shown_in_one_line() -> None:
    assert harmless(one_line(EVIL))
    assert "\n" not in one_line(EVIL)
    assert one_line("中文\u3000é 😀") == "中文\u3000é 😀"
    assert json.loads(printable_json({"a": EVIL, "é": [1]})) == {"a": EVIL, "é": [1]}
    assert harmless(printable_json(EVIL))


@pytest.mark.parametrize("kind", [InputError, Failure])
def test_an_error_shows_what_it_names_escaped(kind: type[Exception]) -> None:
    shown = str(kind(f"{EVIL} is missing"))
    assert harmless(shown)
    assert "\n" not in shown
    assert str(kind("2 problems\n  a\n  b")) == "2 problems\n  a\n  b"


def test_lines_and_warnings_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"result {EVIL}")
    warn(f"problem {EVIL}")
    printed = capsys.readouterr()
    assert harmless(printed.out)
    assert harmless(printed.err)
    assert printed.err.count("\n") == 1


def test_a_recipe_is_shown_escaped() -> None:
    made = recipe.from_comment(output.read_comment_of(outputs()[0]), "a")
    data = to_data(made)
    data.update(text=EVIL, device=EVIL, created=EVIL, checkpoint=EVIL, dtype=EVIL)
    data["speaker"]["name"] = data["speaker"]["sha256"] = EVIL
    data["versions"] = [{"package": EVIL, "version": EVIL}]
    data["emotion"]["text"] = EVIL
    data["adapters"] = [{"name": EVIL, "digest": EVIL, "strength": 1.0}]
    data["settings"]["glossary"] = None
    shown = format_recipe(from_data(recipe.Recipe, data))
    assert harmless(shown)
    assert len(shown.splitlines()) == 10


def test_a_voice_is_shown_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(store.FOLDER, str(tmp_path))
    arrays = safetensors.numpy.load(voice_file())
    (tmp_path / "a.safetensors").write_bytes(voice_file())
    record = store.read_record(tmp_path / "a.safetensors")
    data = to_data(record) | {"created": EVIL, "checkpoint": EVIL}
    data["source"]["name"] = EVIL
    (tmp_path / "a.safetensors").write_bytes(resealed(arrays, data))
    (tmp_path / "b\x1b[2J.safetensors").write_bytes(b"damaged")
    assert run_voice("list") == 0
    assert run_voice("show", "a") == 0
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert "error: c" in shown
    assert not any(line.startswith("error") for line in shown.splitlines())


def test_a_preview_shows_text_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--tokenizer={support.CHECKPOINTS / 'bpe.model'}", "--text=Hi \x1b[31m\u202ethere."]
    for more in ([], ["--json"]):
        assert run(preview, *words, *more) in (0, 2)
        printed = capsys.readouterr()
        assert harmless(printed.out + printed.err)


def test_text_that_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", narrow)
    assert run(synth, "--demo", "--speaker=声音\udcff.wav") == 2
    narrow.flush()
    assert b"\\u58f0\\u97f3\\udcff.wav cannot be read" in narrow.buffer.getvalue()  # type: ignore[attr-defined]


# All of a record counts.


def resealed(arrays: dict[str, np.ndarray], data: dict[str, Any]) -> bytes:
    """A voice file with this record, and the hash that belongs to it."""
    record = from_data(store.VoiceRecord, data)
    data["digest"] = store.digest_of(arrays, record)
    return store.packed(arrays, from_data(store.VoiceRecord, data))


RECORDS: list[dict[str, Any]] = [
    {"heard": float("nan")},
    {"heard": 1e308},
    {"heard": 14.0},
    {"start": float("inf")},
    {"start": -1.0},
    {"start": 1e308},
    {"start": 3.5},
    {"created": "2099"},
    {"checkpoint": "2" * 64},
    {"source": {"name": "b.wav", "size": 1, "sha256": "0" * 64}},
    {"source": {"name": "a.wav", "size": 2, "sha256": "0" * 64}},
]


@pytest.mark.parametrize("change", RECORDS, ids=str)
def test_a_changed_record_of_a_voice_is_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.safetensors"
    arrays = safetensors.numpy.load(voice_file())
    path.write_bytes(voice_file())
    data = to_data(store.read_record(path)) | change
    text = json.dumps(data)
    path.write_bytes(safetensors.numpy.save(arrays, {"indextts_jax_voice": text}))
    with pytest.raises(InputError, match=r"a\.safetensors is damaged"):
        store.read_record(path)


@pytest.mark.parametrize("change", [{"heard": 1e308}, {"heard": 0.0}, {"start": -1.0}])
def test_a_record_with_impossible_numbers_is_damage_whatever_its_hash(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(voice_file())
    data = to_data(store.read_record(path)) | change
    path.write_bytes(resealed(safetensors.numpy.load(voice_file()), data))
    with pytest.raises(InputError, match=r"a\.safetensors is damaged: its excerpt"):
        store.read_record(path)


@pytest.mark.parametrize(
    "change", [{"alpha": 1e308}, {"alpha": 2.5}, {"recipe": "x"}, {"licence": ""}, {"rank": 9}]
)
def test_a_changed_record_of_an_adapter_is_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    data: dict[str, Any] = {
        "format": adapter.FORMAT,
        "created": "2024",
        "base": [{"name": "gpt", "digest": "1"}],
        "rank": 2,
        "alpha": 2.0,
        "paths": ["gpt.a.kernel"],
        "recipe": "r",
        "licence": "l",
        "versions": [],
        "digest": "2",
        "record": "",
    }
    data["record"] = digest(data)
    path = tmp_path / adapter.RECORD
    path.write_text(json.dumps(data))
    assert adapter._read_record(path).alpha == 2.0
    path.write_text(json.dumps(data | change))
    with pytest.raises(InputError, match="is damaged"):
        adapter._read_record(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e308])
def test_a_recipe_with_impossible_numbers_is_damaged(value: float) -> None:
    data = json.loads(output.read_comment_of(outputs()[0]).removeprefix("indextts_jax "))
    data["speaker_start"] = value
    with pytest.raises(InputError, match="its recipe is damaged"):
        recipe.from_comment("indextts_jax " + json.dumps(data), "a")


# Empty is not absent.

EMPTY_FLAGS = [
    (synth, ["--speaker="]),
    (synth, ["--voice="]),
    (synth, ["--speaker= "]),
    (synth, ["--output="]),
    (synth, ["--checkpoint="]),
    (synth, ["--text_file="]),
    (synth, ["--glossary="]),
    (synth, ["--emotion="]),
    (synth, ["--emotion_weights="]),
    (synth, ["--adapter="]),
    (synth, ["--seed="]),
    (synth, ["--max_memory="]),
    (synth, ["--prompt_excerpt="]),
    (preview, ["--tokenizer="]),
    (replay, ["--output="]),
]


@pytest.mark.parametrize(("command", "words"), EMPTY_FLAGS, ids=lambda part: str(part)[-25:])
def test_an_empty_flag_is_refused(
    command: Any, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, *(["--demo"] if command is synth else []), *words) == 2
    flag = words[0].partition("=")[0]
    assert f"{flag} is empty: give it a value, or leave it out" in complaint(capsys)


def test_empty_words_without_a_flag_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["show", ""], ["", "a"], ["delete", " "]):
        assert run_voice(*words) == 2
        assert complaint(capsys)


@pytest.mark.parametrize("path", ["", " ", "\n", Path("")])
def test_an_empty_path_is_refused_in_python(path: Any) -> None:
    for read in (
        lambda: IndexTTS.load(path),
        lambda: load_audio(path, 16000),
        lambda: Emotion(prompt=path),
        lambda: library.import_checkpoint(path),
        lambda: library.import_checkpoint("x", path),
        lambda: library.import_checkpoint("x", bigvgan=path),
        lambda: open_checkpoint(path),
        lambda: adapter.read_adapter(path),
        lambda: store.read_record(path),
        lambda: output.check_output(path),
        lambda: Glossary.load(path),
    ):
        with pytest.raises((InputError, FileNotFoundError)) as error:
            read()
        assert isinstance(error.value, InputError), read


@pytest.mark.parametrize("address", ["https://a.example/voice.wav", "hf://x/y", "s3://b/c.wav"])
def test_an_address_is_named_as_one(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(synth, "--demo", f"--speaker={address}") == 2
    assert f"--speaker {address} is an address; only files are read" in complaint(capsys)
    with pytest.raises(InputError, match="is an address"):
        IndexTTS.load(address)


def test_home_is_expanded_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert run(synth, "--demo", "--speaker=~/none.wav") == 2
    assert f"{tmp_path / 'none.wav'} cannot be read" in complaint(capsys)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "none"))):
        load_audio("~/none", 16000)
    output.write_audio("~/a.wav", np.zeros(9), 16000)
    assert stat.S_ISREG((tmp_path / "a.wav").stat().st_mode)
    assert run(synth, "--demo", "--text=~20 sheep", "--speaker=~/none.wav") == 2
