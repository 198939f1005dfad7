"""What the damage tests share: rows of a table, and running a command as a user would."""

import dataclasses
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from importers import command
from indextts_jax import synth
from indextts_jax.cli import runner

Damage = Callable[[Path], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A row: what is done to the input, and what a user is then told."""

    name: str
    damage: Damage  # of the folder that the command reads
    told: tuple[str, ...]  # what the one line must name
    argv: tuple[str, ...] = ()
    code: int = runner.BAD_INPUT


def rows(cases: Sequence[Case], nightly: Collection[str] = ()) -> Any:
    """The table as parameters of a test, with readable names; some of them nightly."""
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    marks = [[pytest.mark.nightly] if name in nightly else [] for name in names]
    held = [pytest.param(case, id=case.name, marks=m) for case, m in zip(cases, marks, strict=True)]
    return pytest.mark.parametrize("case", held)


def run(module: Any, *argv: object) -> int:
    """A command, in this process, as a user runs it."""
    return runner.execute(
        module.main,
        module.define,
        name="",
        summary="",
        common=module.COMMON,
        argv=[str(word) for word in argv],
    )


def run_import(*argv: object) -> int:
    """The import command."""
    return run(command, *argv)


def run_synth(*argv: object) -> int:
    """The synth command."""
    return run(synth, *argv)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error: nothing else may be on the screen but progress."""
    told = capsys.readouterr().err
    assert "Traceback" not in told
    lines = [part for line in told.splitlines() for part in line.split("\r") if part.strip()]
    errors = [line for line in lines if not line.startswith(("Importing: ", "Speaking: "))]
    assert len(errors) == 1, told
    assert errors[0].startswith("error: ")
    return errors[0]


def check(case: Case, code: int, line: str) -> None:
    """Whether a user was told what the row says."""
    assert code == case.code, line
    for part in case.told:
        assert part in line


def everything(folder: Path) -> list[str]:
    """All that lies below a folder, hidden files included."""
    return sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )
