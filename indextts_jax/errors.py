"""What a user can mend: errors whose message is the whole report."""


class InputError(ValueError):
    """Bad input: a file, a flag, a text or a setting.

    The message says what was expected, what came and where. The commands print it as it is, without
    a traceback, and exit with code 2.
    """
