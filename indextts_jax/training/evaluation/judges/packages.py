"""Packages of the extra `judge`: imported where they are needed, missed in one clear line."""

import importlib
from typing import Any

from indextts_jax.errors import InputError


def load(name: str, flag: str) -> Any:
    """A module by name; `flag` is what asked for it.

    Raises:
        InputError: if its package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"{flag} needs the package {name.split('.')[0]}, which cannot be imported "
            f"({error!s:.80}): pip install 'indextts-jax[judge]'",
            flag,
        ) from error
