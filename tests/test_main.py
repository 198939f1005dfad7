"""The list of commands."""

from pathlib import Path

import pytest

import indextts_jax
from indextts_jax.__main__ import commands, main


def test_every_module_that_runs_as_a_command_is_listed() -> None:
    runs = {
        path.stem
        for path in Path(indextts_jax.__file__).parent.glob("*.py")
        if '\nif __name__ == "__main__"' in path.read_text("utf-8")
        and path.stem not in ("__main__", "cli")
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
    assert main(["synth", "--demo"]) == 2
    assert "write python -m indextts_jax.synth" in capsys.readouterr().err
    assert main(["sing"]) == 2
    assert "see --help" in capsys.readouterr().err
