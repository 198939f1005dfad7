"""The directory where compiled programs are stored between runs."""

import os
import sys
import tempfile
import warnings
from pathlib import Path

import jax

from indextts_jax.runtime import executables

CACHE = "INDEXTTS_JAX_CACHE"
OFF = "off"  # value of it with which nothing is stored


def cache_directory() -> Path:
    """The cache directory: INDEXTTS_JAX_CACHE, else one in the user's cache directory."""
    if chosen := os.environ.get(CACHE):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "indextts_jax"
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(root) / "indextts_jax" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "indextts_jax"


def enable_by_default() -> None:
    """Stores compiled programs between runs, unless that was decided before."""
    if not executables.chosen():
        enable_compilation_cache()


def enable_compilation_cache() -> Path | None:
    """Stores compiled programs between runs; warns and returns None if that is not possible.

    With INDEXTTS_JAX_CACHE=off, nothing is stored.
    """
    if os.environ.get(CACHE) == OFF:
        executables.activate(None)
        return None
    try:
        folder = cache_directory() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home directory
        warnings.warn(
            f"compiled programs are not stored: their directory cannot be written ({error}); "
            f"set {CACHE} to another directory",
            stacklevel=2,
        )
        executables.activate(None)
        return None
    # We store the programs of stages ourselves; JAX's own cache stores the small ones in between.
    jax.config.update("jax_compilation_cache_dir", str(folder / "small"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    executables.activate(folder)
    return folder
