"""Lazy imports of the packages of the extra `judge`, with clear errors."""

import importlib
from typing import Any

from indextts_jax.errors import InputError


def load(name: str, flag: str) -> Any:
    """Imports a module by name; `flag` is the flag that needs it.

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
