"""The list of commands."""

import runpy
import shlex
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

import indextts_jax
from indextts_jax.__main__ import commands, main
from indextts_jax.cli import runner


def test_every_module_that_runs_as_a_command_is_listed() -> None:
    runs = {
        path.stem
        for path in Path(indextts_jax.__file__).parent.glob("*.py")
        if '\nif __name__ == "__main__"' in path.read_text("utf-8") and path.stem != "__main__"
    }
    assert set(commands()) == runs
    assert {"synth", "import"} <= runs


@pytest.mark.parametrize("argv", [[], ["--help"], ["help"]])
def test_the_list_names_each_command_and_what_it_does(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 0
    out = capsys.readouterr().out
    for name, does in commands().items():
        assert any(line.split(maxsplit=1) == [name, does] for line in out.splitlines())


def test_another_word_is_an_error_with_a_way_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sinth", "--demo"]) == 2
    assert "'sinth' is not a command; did you mean synth?" in capsys.readouterr().err
    assert main(["dance"]) == 2
    assert "see --help" in capsys.readouterr().err


@pytest.mark.parametrize("name", commands())
def test_a_command_is_run_by_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(sys, "argv", ["indextts-jax"])
    monkeypatch.setattr(runpy, "run_module", lambda module, run_name: given.append(module))
    assert main([name, "--text", "a"]) == 0
    assert given == [f"indextts_jax.{name}"]
    assert sys.argv[1:] == ["--text", "a"]


@pytest.mark.parametrize("argv", [["show", "nowhere"], ["--help"], ["synth", "--speaker="]])
def test_the_console_command_is_the_module(argv: list[str]) -> None:
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert scripts["project"]["scripts"] == {"indextts-jax": "indextts_jax.__main__:run"}
    code = "from indextts_jax.__main__ import run; run()"
    ours, module = (
        subprocess.run([sys.executable, *way, *argv], capture_output=True, check=False)
        for way in (("-c", code), ("-m", "indextts_jax"))
    )
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        module.returncode,
        module.stdout,
        module.stderr,
    )
    assert ours.returncode == (0 if argv == ["--help"] else 2)


def given_to_runner(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a command gives to the runner of commands."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        runner, "run", lambda main, define, **more: given.update(main=main, define=define, **more)
    )
    # runpy would keep the bytecode with the checks of the tests in it as that of the command, which
    # then fails wherever these checks are not installed.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module may be imported already
        runpy.run_module(f"indextts_jax.{name}", run_name="__main__")
    return given


@pytest.mark.parametrize("name", commands())
def test_help_fits_a_screen_and_its_examples_can_be_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = given_to_runner(name, monkeypatch)
    assert given["name"] == name
    assert runner.execute(**given, argv=["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    flags = runner.parse([], given["define"])
    assert set(given["common"]) <= set(flags)
    mark = f"  {runner.PYTHON}"
    examples = [line.removeprefix(mark) for line in lines[lines.index("Examples:") + 1 :]]
    assert 1 <= len(examples) <= 5
    for example in examples:
        word, *argv = shlex.split(example)
        assert word == name
        runner.parse(argv, given["define"], given.get("positional", ()))


@pytest.mark.parametrize("name", commands())
def test_the_full_help_names_every_flag_once(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = given_to_runner(name, monkeypatch)
    assert runner.execute(**given, argv=["--helpfull"]) == 0
    shown = [
        line.split()[0].removeprefix("--").removeprefix("[no]").partition("=")[0]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("  --")
    ]
    flags = set(runner.parse([], given["define"])) - {"help", "helpfull", "?"}
    assert sorted(shown) == sorted(flags)
