"""The runner of every command: flags in, exit code out, errors as one clear line.

def define(flags): absl.flags.DEFINE_string("src", None, "...", flag_values=flags)
def main(flags): ...
if __name__ == "__main__":
    runner.run(main, define, name="import", summary="...", common=("src",), examples=("...",))

With `positional=("src",)`, a word without a flag is the value of --src; `groups` puts flags under
headings in the help.
"""

import contextlib
import dataclasses
import io
import os
import re
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags as absl_flags

from indextts_jax.cli.interruption import INTERRUPTED, Terminated, explain_signal, interruptible
from indextts_jax.cli.terminal import warn
from indextts_jax.errors import (
    EmotionWarning,
    Failure,
    InputError,
    PromptWarning,
    TextWarning,
    indented,
)
from indextts_jax.utils.paths import user_path

BAD_INPUT, FAILURE = 2, 1
FAULTY = 3  # finished, but the result has faults, which were reported
TRACEBACK = "INDEXTTS_JAX_TRACEBACK"
PYTHON = "python -m indextts_jax."
WIDTH, LABEL = 100, 28  # columns of the help, and of its labels


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows the library's warnings as one line, without the source location."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        warn(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        for category in (
            TextWarning,
            PromptWarning,
            EmotionWarning,
        ):  # commands show these before they load a model
            warnings.simplefilter("ignore", category)
        yield


@dataclasses.dataclass(frozen=True)
class Help:
    """The help page of a command; the common flags fit on a screen."""

    name: str
    summary: str
    common: Sequence[str]  # the flags that most people need
    positional: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)  # by heading
    examples: Sequence[str] = ()  # what follows `python -m indextts_jax.`

    def page(self, values: absl_flags.FlagValues, *, full: bool) -> str:
        """The page with the common flags, or with all."""
        every = [key for key in values if key not in ("help", "helpfull", "?")]
        grouped = {key for keys in self.groups.values() for key in keys}
        front = [key for key in self.common if key not in grouped]
        rest = sorted(key for key in every if key not in grouped and key not in front)
        groups = {"": front, **self.groups, ("More" if self.groups or front else ""): rest}
        usage = " ".join([f"{PYTHON}{self.name}", *(word.upper() for word in self.positional)])
        lines = [*textwrap.wrap(f"{usage}: {self.summary}", WIDTH)]
        for heading, keys in groups.items():
            shown = [key for key in keys if key in every and (full or key in self.common)]
            if shown:
                lines += ["", *([f"{heading}:"] if heading else [])]
                lines += [line for key in shown for line in _entry(values[key])]
        hidden = [f"--{key}" for keys in groups.values() for key in keys if key in every]
        hidden = [key for key in hidden if key[2:] not in self.common]
        if hidden and not full:
            more = f"More flags, with --helpfull: {', '.join(hidden)}"
            lines += ["", *textwrap.wrap(more, WIDTH, break_on_hyphens=False)]
        if self.examples:
            lines += ["", "Examples:", *(f"  {PYTHON}{example}" for example in self.examples)]
        return "\n".join(lines)


def _entry(flag: absl_flags.Flag) -> list[str]:
    """The lines of one flag: its form, its description and its default."""
    words, choices = str(flag.help), "|".join(getattr(flag.parser, "enum_values", None) or ())
    if choices:
        words = words.removeprefix(f"<{choices}>: ")  # added by absl
    if flag.boolean:
        label = f"--[no]{flag.name}" if flag.default else f"--{flag.name}"
    else:
        kind = choices or {"int": "N", "float": "X"}.get(flag.flag_type(), "...")
        label = f"--{flag.name}={kind}"
        if choices and len(label) > LABEL:
            label, words = f"--{flag.name}=...", f"{words} One of {choices}."
        if flag.default is not None and flag.default != []:
            words += f" (default: {str(flag.default_as_str)[1:-1]})"
    text = textwrap.wrap(words, WIDTH - LABEL - 2)
    if len(label) < LABEL - 1:
        label, text = label.ljust(LABEL) + text[0], text[1:]
    return [f"  {label}", *(" " * (LABEL + 2) + line for line in text)]


def parse(
    argv: Sequence[str],
    define: Callable[[absl_flags.FlagValues], None],
    positional: Sequence[str] = (),
) -> absl_flags.FlagValues:
    """Parses one command's flags into values of its own; words without a flag fill `positional`.

    Raises:
        InputError: for an unknown flag, a bad value, or an unexpected word.
    """
    values = absl_flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow positional words
    define(values)
    for flag in ("help", "helpfull"):
        absl_flags.DEFINE_bool(flag, False, "Shows the flags.", flag_values=values)
    try:
        words = values(["", *argv])[1:]
        for flag, word in zip(positional, words, strict=False):
            if values[flag].present:
                raise InputError(f"--{flag} is given twice: {values[flag].value} and {word}")
            values[flag].parse(word)
            values[flag].present += 1
        for flag in values:
            _check_words(values[flag])
    except absl_flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    if rest := words[len(positional) :]:
        known = f" but {' '.join(word.upper() for word in positional)}" if positional else ""
        raise InputError(f"unexpected argument {rest[0]!r}: every setting{known} has a --flag")
    return values


WORDS = ("text", "emotion_text")  # flags whose value is text to be read, not a name
ADDRESSES = ("input", "ray_address")  # flags that take addresses, too


def _check_words(flag: absl_flags.Flag) -> None:
    """Rejects an empty name, such as `--voice "$UNSET"`, and an address; expands `~`.

    Raises:
        InputError: for such a value.
    """
    if not flag.present:
        return
    if flag.name in WORDS:
        flag.value = _as_utf8(flag.value)
        return
    several = isinstance(flag.value, list)
    given: Any = flag.value
    values: list[Any] = given if several else [given]
    if not values or any(isinstance(value, str) and not value.strip() for value in values):
        raise InputError(f"--{flag.name} is empty: give it a value, or leave it out")
    checked = [
        str(user_path(value, f"--{flag.name}"))
        if isinstance(value, str)
        and (("://" in value and flag.name not in ADDRESSES) or value.startswith("~"))
        else value
        for value in values
    ]
    if checked != values:
        flag.value = checked if several else checked[0]


def _as_utf8(text: Any) -> Any:
    """Text from a locale that could not decode it, read as UTF-8 if it is that."""
    if (
        not isinstance(text, str)
        or text.isprintable()
        or text.encode("utf-8", "ignore").decode() == text
    ):
        return text
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text  # reported where the text is read


def _escape_what_cannot_be_encoded() -> None:
    """Standard streams of a narrow encoding escape other characters, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def execute(
    main: Callable[[absl_flags.FlagValues], int | None],
    define: Callable[[absl_flags.FlagValues], None],
    *,
    name: str,
    summary: str,
    common: Sequence[str],
    positional: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    examples: Sequence[str] = (),
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a command and returns its exit code.

    The code is what the command returns (by default 0), 2 for bad input, 1 for a failure, 130 for
    Ctrl-C. With the environment variable INDEXTTS_JAX_TRACEBACK set, errors also print a traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _escape_what_cannot_be_encoded()
    flags: Collection[str] = ()
    try:
        with interruptible(), _plain_warnings():
            asked = any(word in ("-h", "-help", "--help") for word in words)
            if asked or "--helpfull" in words:
                shown = Help(name, summary, common, positional, groups or {}, examples)
                sys.stdout.write(shown.page(parse([], define), full=not asked) + "\n")
                return 0
            values = parse(words, define, positional)
            flags = set(values)
            return main(values) or 0
    except (KeyboardInterrupt, Terminated) as stop:
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        return _complain(explain_signal(number), INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has closed the pipe. Redirecting stdout avoids a second error
        # when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (
        InputError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
    ) as error:
        return _complain(_message(error, flags), BAD_INPUT)
    except Failure as error:
        return _complain(_message(error), FAILURE)
    except Exception as error:  # last resort: one line, and how to get the traceback
        return _complain(
            f"{type(error).__name__}: {_message(error)} (set {TRACEBACK}=1 to see where)", FAILURE
        )


def _message(error: BaseException, flags: Collection[str] = ()) -> str:
    message = str(error)
    if isinstance(error, InputError):
        for field in error.fields:
            if field in flags:
                message = re.sub(rf"(?<![\w-]){field}\b", f"--{field}", message)
    if isinstance(error, InputError | Failure):
        return message
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _complain(message: str, code: int) -> int:
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exc()
    sys.stderr.write(f"error: {indented(message)}\n")
    return code


def run(
    main: Callable[[absl_flags.FlagValues], int | None],
    define: Callable[[absl_flags.FlagValues], None],
    *,
    name: str,
    summary: str,
    common: Sequence[str],
    positional: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    examples: Sequence[str] = (),
) -> NoReturn:
    """Runs a command with the process's arguments and exits with its code."""
    sys.exit(
        execute(
            main,
            define,
            name=name,
            summary=summary,
            common=common,
            positional=positional,
            groups=groups,
            examples=examples,
        )
    )
