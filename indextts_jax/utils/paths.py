"""Paths as people write them."""

import re
from pathlib import Path

from indextts_jax.errors import InputError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def user_path(path: str | Path, what: str = "the path") -> Path:
    """A path with `~` expanded.

    Raises:
        InputError: for an empty path, or an address such as https://...
    """
    text = str(path)
    if not text.strip() or (isinstance(path, Path) and path == Path()):
        raise InputError(f"{what} is empty: expected the name of a file or directory")
    if _ADDRESS.match(text):
        raise InputError(
            f"{what} {text:.200} is an address; only files are read: download it first"
        )
    if not text.startswith("~"):
        return Path(path)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~somebody, who is not a user here
        raise InputError(f"{what} {text:.200}: {error}") from error
