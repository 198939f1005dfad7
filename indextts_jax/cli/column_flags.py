"""The flag --columns: columns of a table under other names."""

from collections.abc import Iterable

from indextts_jax.errors import InputError


def parse(entries: Iterable[str]) -> dict[str, str]:
    """Our names of columns with those of the table, from words such as `text=sentence`.

    Raises:
        InputError: for a word of another form.
    """
    columns: dict[str, str] = {}
    for entry in entries:
        ours, mark, theirs = entry.partition("=")
        if not mark or not theirs:
            raise InputError(f"--columns {entry}: expected ours=theirs, such as text=sentence")
        columns[ours] = theirs
    return columns
