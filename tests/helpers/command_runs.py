"""Runs the commands `import` and `synth` in this process, as a user would."""

from typing import Any

import pytest

from importers import command
from indextts_jax import synth
from indextts_jax.cli import runner

SPOKEN = (0, runner.FAULTY)  # random weights end where they like


def run_import(*arguments: object) -> int:
    """The exit code of the import command."""
    return runner.execute(
        command.main,
        command.define,
        name="import",
        summary=command.SUMMARY,
        common=command.COMMON,
        argv=[str(argument) for argument in arguments],
    )


def import_refused(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 2) -> str:
    """Runs an import that must fail; gives its one line."""
    assert run_import(*arguments) == code
    printed = capsys.readouterr()
    *_, line = printed.err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in printed.err
    return line


def run_synth(*argv: str) -> int:
    """The exit code of the synth command."""
    return runner.execute(
        synth.main, synth.define, name="synth", summary="", common=synth.COMMON, argv=argv
    )
