"""The commands' runner: exit codes, one-line errors, help."""

import os
import signal
from typing import Any

import pytest
from absl import flags as absl_flags

from indextts_jax.cli import runner
from indextts_jax.errors import InputError


def define(flags: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string("name", None, "A name.", flag_values=flags)
    absl_flags.DEFINE_integer("count", 3, "A number.", flag_values=flags)


def execute(main: Any, *argv: str) -> int:
    return runner.execute(main, define, name="x", summary="does x.", common=("name",), argv=argv)


def failing(error: BaseException) -> Any:
    def main(flags: Any) -> None:
        raise error

    return main


def test_flags_reach_the_command() -> None:
    seen = []
    assert execute(lambda flags: seen.append((flags.name, flags.count)), "--name=a") == 0
    assert seen == [("a", 3)]


def test_two_commands_in_one_process_do_not_share_flags() -> None:
    seen: list[int] = []
    execute(lambda flags: seen.append(flags.count), "--count=5")
    execute(lambda flags: seen.append(flags.count))
    assert seen == [5, 3]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("bad"), runner.BAD_INPUT),
        (FileNotFoundError(2, "No such file", "a.wav"), runner.BAD_INPUT),
        (OSError(28, "No space left on device", "a.wav"), runner.FAILURE),
        (RuntimeError("broke\nbadly"), runner.FAILURE),
        (KeyboardInterrupt(), runner.INTERRUPTED),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(failing(error)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [["--nothing"], ["--count=many"], ["word"]])
def test_bad_flags_are_bad_input(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(lambda flags: None, *argv) == runner.BAD_INPUT
    assert capsys.readouterr().err.count("\n") == 1


def placed(*argv: str) -> list[Any]:
    """What a command with two positional arguments got, or its exit code."""
    seen: list[Any] = []
    code = runner.execute(
        lambda flags: seen.append((flags.name, flags.count)),
        define,
        name="x",
        summary="does x.",
        common=("name",),
        positional=("name", "count"),
        argv=argv,
    )
    return seen or [code]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), (None, 3)),
        (("a",), ("a", 3)),
        (("a", "5"), ("a", 5)),
        (("--name", "a"), ("a", 3)),
        (("a", "--count=5"), ("a", 5)),
        (("--count=5", "a"), ("a", 5)),
        (("--", "--a"), ("--a", 3)),
    ],
)
def test_words_are_values_of_flags_in_their_order(argv: tuple[str, ...], expected: Any) -> None:
    assert placed(*argv) == [expected]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("a", "5", "b"), "unexpected argument 'b': every setting but NAME COUNT has a --flag"),
        (("a", "--name=b"), "--name is given twice: b and a"),
        (("a", "many"), "count"),
    ],
)
def test_words_that_are_too_many_twice_or_wrong_are_bad_input(
    argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert placed(*argv) == [runner.BAD_INPUT]
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_help_names_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert placed("--help") == [0]
    assert "python -m indextts_jax.x NAME COUNT: does x." in capsys.readouterr().out


def test_help_shows_common_flags_first_and_names_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute(failing(AssertionError()), "--help") == 0
    out = capsys.readouterr().out
    assert out.index("A name.") < out.index("--count")
    assert "A number." not in out


def test_help_full_shows_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(failing(AssertionError()), "--helpfull") == 0
    assert "A number." in capsys.readouterr().out


def test_sigterm_unwinds_the_command() -> None:
    cleaned = []

    def main(flags: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)

    assert execute(main) == runner.INTERRUPTED
    assert cleaned == [True]


def test_a_traceback_is_shown_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(runner.TRACEBACK, "1")
    assert execute(failing(RuntimeError("broke"))) == runner.FAILURE
    assert "Traceback" in capsys.readouterr().err


def grouped(*argv: str) -> None:
    groups = {"Numbers": ("count",), "Empty": ("gone",)}
    assert (
        runner.execute(
            failing(AssertionError()),
            define,
            name="x",
            summary="does x.",
            common=("name", "count"),
            groups=groups,
            examples=("x --name a",),
            argv=argv,
        )
        == 0
    )


def test_help_has_headings_and_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    grouped("--help")
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines if line] == [
        "python -m indextts_jax.x: does x.",
        "--name=... A name.",
        "Numbers:",
        "--count=N A number. (default: 3)",
        "Examples:",
        "python -m indextts_jax.x --name a",
    ]
