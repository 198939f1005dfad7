"""The runner of every command: flags in, exit code out, errors as one clear line.

def define(flags): absl.flags.DEFINE_string("src", None, "...", flag_values=flags)
def main(flags): ...
if __name__ == "__main__":
    cli.run(main, define, name="import", summary="...", common=("src",))

With `positional=("src",)` a word without a flag is the value of --src, too.
"""

import contextlib
import os
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from absl import flags as absl_flags

from indextts_jax.errors import Failure, InputError, TextWarning
from indextts_jax.interruption import INTERRUPTED, Terminated, interruptible, told

BAD_INPUT, FAILURE = 2, 1
FAULTY = 3  # it was done, but what came out has faults, which were told
TRACEBACK = "INDEXTTS_JAX_TRACEBACK"


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows the library's warnings as one line, without the place in the source."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        sys.stderr.write(f"warning: {message}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        warnings.simplefilter("ignore", TextWarning)  # what reads a text tells it early
        yield


def _help(
    values: absl_flags.FlagValues,
    name: str,
    summary: str,
    common: Sequence[str],
    positional: Sequence[str],
    all_flags: bool,
) -> str:
    """The text of `--help`: what most people need, then the rest."""

    def entry(key: str) -> str:
        flag = values[key]
        default = "" if flag.default in (None, False) else f" (default: {flag.default_as_str})"
        label = f"--[no]{key}" if flag.boolean else f"--{key}"
        text = textwrap.fill(f"{flag.help}{default}", 72)
        return f"  {label}\n{textwrap.indent(text, ' ' * 6)}"

    rest = sorted(key for key in values if key not in (*common, "help", "helpfull", "?"))
    usage = " ".join([f"python -m indextts_jax.{name}", *(word.upper() for word in positional)])
    lines = [f"{usage}: {summary}", "", *map(entry, common)]
    if rest and all_flags:
        lines += ["", "More flags:", *map(entry, rest)]
    elif rest:
        lines += ["", f"More flags, with --helpfull: {', '.join('--' + key for key in rest)}"]
    return "\n".join(lines)


def parse(
    argv: Sequence[str],
    define: Callable[[absl_flags.FlagValues], None],
    positional: Sequence[str] = (),
) -> absl_flags.FlagValues:
    """The flags of one command, on values of its own; words without a flag go to `positional`.

    Raises:
        InputError: for an unknown flag, a bad value, or a word that belongs to no flag.
    """
    values = absl_flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may stand behind words
    define(values)
    for flag in ("help", "helpfull"):
        absl_flags.DEFINE_bool(flag, False, "Shows the flags.", flag_values=values)
    try:
        words = values(["", *argv])[1:]
        for flag, word in zip(positional, words, strict=False):
            if values[flag].present:
                raise InputError(f"--{flag} is given twice: {values[flag].value} and {word}")
            values[flag].parse(word)
    except absl_flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    if rest := words[len(positional) :]:
        known = f" but {' '.join(word.upper() for word in positional)}" if positional else ""
        raise InputError(f"unexpected argument {rest[0]!r}: every setting{known} has a --flag")
    return values


def execute(
    main: Callable[[absl_flags.FlagValues], int | None],
    define: Callable[[absl_flags.FlagValues], None],
    *,
    name: str,
    summary: str,
    common: Sequence[str],
    positional: Sequence[str] = (),
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a command and gives its exit code: what the command gives, by default 0.

    It is 2 for bad input, 1 for a failure, 130 for Ctrl-C.

    With the environment variable INDEXTTS_JAX_TRACEBACK set, errors also show where they arose.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with interruptible(), _plain_warnings():
            asked = any(word in ("-h", "-help", "--help") for word in words)
            if asked or "--helpfull" in words:
                values = parse([], define)
                sys.stdout.write(_help(values, name, summary, common, positional, not asked) + "\n")
                return 0
            return main(parse(words, define, positional)) or 0
    except (KeyboardInterrupt, Terminated) as stop:
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        return _complain(told(number), INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; pointing it elsewhere keeps the exit from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (
        InputError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
    ) as error:
        return _complain(_message(error), BAD_INPUT)
    except Failure as error:
        return _complain(_message(error), FAILURE)
    except Exception as error:  # the last line of defence: a user is shown one line, and a way on
        return _complain(
            f"{type(error).__name__}: {_message(error)} (set {TRACEBACK}=1 to see where)", FAILURE
        )


def _message(error: BaseException) -> str:
    if isinstance(error, InputError | Failure):
        return str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _complain(message: str, code: int) -> int:
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exc()
    sys.stderr.write(f"error: {message}\n")
    return code


def run(
    main: Callable[[absl_flags.FlagValues], int | None],
    define: Callable[[absl_flags.FlagValues], None],
    *,
    name: str,
    summary: str,
    common: Sequence[str],
    positional: Sequence[str] = (),
) -> NoReturn:
    """Runs a command with the arguments of the process, and ends the process."""
    sys.exit(
        execute(main, define, name=name, summary=summary, common=common, positional=positional)
    )
