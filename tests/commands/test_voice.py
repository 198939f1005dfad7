"""The voice command."""

import re
from pathlib import Path

import golden_copies
import pytest
import support

from indextts_jax import voice
from indextts_jax.cli import runner
from indextts_jax.runtime import cache_folder
from indextts_jax.voices import store


def run(*argv: str) -> int:
    return runner.execute(
        voice.main,
        voice.define,
        name="voice",
        summary="",
        common=voice.COMMON,
        positional=voice.POSITIONAL,
        argv=argv,
    )


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.FOLDER, str(tmp_path / "voices"))
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)


def test_a_voice_is_created_listed_shown_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    from_what = (f"--checkpoint={golden_copies.shared()}", f"--speaker={support.TINY}/speaker.wav")
    create = ("create", "anna", *from_what, "--prompt_excerpt=1.5")
    assert run(*create) == 0
    assert "speaker.wav: it is only 1.59 s long" in capsys.readouterr().err
    assert run(*create) == runner.BAD_INPUT
    assert "--force replaces it" in capsys.readouterr().err
    assert run(*create, "--force") == 0
    capsys.readouterr()
    assert run("list") == 0
    listing = capsys.readouterr().out
    assert "anna" in listing
    assert "speaker.wav" in listing
    assert run("show", "anna") == 0
    record = store.read_record(store.voice_path("anna"))
    shown = capsys.readouterr().out
    assert record.checkpoint in shown
    assert record.source.sha256 in shown
    assert "second 1.5 to 3.1\n" in shown
    assert run("delete", "anna") == 0
    assert store.names() == []


def test_a_damaged_voice_is_still_listed(capsys: pytest.CaptureFixture[str]) -> None:
    path = store.voice_path("broken")
    path.parent.mkdir()
    path.write_text("no voice")
    assert run("list") == 0
    assert "is damaged" in capsys.readouterr().out
    assert run("show", "broken") == runner.BAD_INPUT


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give an action: create, list, show, delete"),
        (["sing"], "create"),
        (["create"], "give --name, the voice to create"),
        (["create", "anna"], "give --speaker RECORDING and --checkpoint"),
        (["create", "anna", "--speaker=none.wav", "--checkpoint=x"], "none.wav: file not found"),
        (["create", "a/b", "--speaker=none.wav", "--checkpoint=x"], "not a valid voice name"),
        (["show", "bob"], "voice .*bob.* does not exist; saved voices: none yet"),
        (["delete", "bob"], "voice .*bob.* does not exist"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == runner.BAD_INPUT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err
