"""Errors and warnings whose message is the whole report."""

from collections.abc import Sequence

from indextts_jax.printable import indented


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
