"""Errors and warnings whose message is the whole report; text from outside, made printable."""

import json
import unicodedata
from collections.abc import Sequence


class InputError(ValueError):
    """Bad input: a file, a flag, a text or a setting.

    The message says what was expected, what was found and where. The commands print it without a
    traceback and exit with code 2. `fields` are words of the message that name settings: if a
    command has a flag of that name, it shows the flag instead (`--steps must be at least 1`).
    """

    def __init__(self, message: str = "", *fields: str):
        super().__init__(message)
        self.fields = fields

    def __str__(self) -> str:
        """The message; what does not belong on a terminal is escaped."""
        return indented(super().__str__())


class Failure(RuntimeError):
    """A failure despite valid input: a full disk, a broken machine.

    The message is the whole report. The commands print it and exit with code 1.
    """

    def __str__(self) -> str:
        """The message, escaped as that of `InputError`."""
        return indented(super().__str__())


class TextWarning(UserWarning):
    """A problem with a text: it may not be spoken as written."""


class PromptWarning(UserWarning):
    """A problem with a recording: it may not give the intended voice or emotion."""


class EmotionWarning(UserWarning):
    """A problem with the numbers of an emotion."""


def gathered(what: str, problems: Sequence[str]) -> str:
    """Formats one problem as one line, several as a count and a line each."""
    if len(problems) == 1:
        return f"1 problem {what}: {problems[0]}"
    return "\n  ".join([f"{len(problems)} problems {what}", *problems])


def _shown(character: str) -> bool:
    # Spaces of other widths are harmless; line and paragraph separators (Zl, Zp) are not.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return ascii(character)[1:-1] if not character.isascii() else repr(character)[1:-1]


def one_line(value: object) -> str:
    """A value in one line: control characters, direction marks and line ends are escaped."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if _shown(c) else _escaped(c) for c in text)


def lines(message: str) -> str:
    """A message of our own, of several lines: all but its line ends is escaped."""
    return "\n".join(map(one_line, message.split("\n")))


def indented(message: str) -> str:
    """A message whose further lines are indented: a line end before anything else is escaped."""
    first, *rest = message.split("\n")
    made = one_line(first)
    for line in rest:
        made += ("\n" if line.startswith("  ") else "\\n") + one_line(line)
    return made


def printable_json(data: object, indent: int | None = None) -> str:
    """JSON with text as it is, apart from characters that do not belong on a terminal."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    return "".join(c if c == "\n" or _shown(c) else json.dumps(c)[1:-1] for c in text)
