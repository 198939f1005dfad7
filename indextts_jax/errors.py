"""Errors and warnings whose message is the whole report."""

from collections.abc import Sequence


class InputError(ValueError):
    """Bad input: a file, a flag, a text or a setting.

    The message says what was expected, what came and where. The commands print it without a
    traceback, and exit with code 2. `fields` are words of the message that name settings: where a
    command has a flag of that name, it shows the flag (`--steps must be at least 1`).
    """

    def __init__(self, message: str = "", *fields: str):
        super().__init__(message)
        self.fields = fields

    def __str__(self) -> str:
        """The message, with escapes for what no terminal can show, out of damaged files."""
        return super().__str__().encode("utf-8", "backslashreplace").decode()


class Failure(RuntimeError):
    """What went wrong though the input was good: a full disk, a broken machine.

    The message is the whole report. The commands print it as it is and exit with code 1.
    """


class TextWarning(UserWarning):
    """What is odd about a text: it may not be spoken as it is written."""


class PromptWarning(UserWarning):
    """What is odd about a recording: it may not give the voice, or the emotion, that it should."""


def gathered(what: str, problems: Sequence[str]) -> str:
    """One problem on one line, or a count and a line for each of several."""
    if len(problems) == 1:
        return f"1 problem {what}: {problems[0]}"
    return "\n  ".join([f"{len(problems)} problems {what}", *problems])
