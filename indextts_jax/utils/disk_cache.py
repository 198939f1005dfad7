"""A disk cache for small results that are slow to compute."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indextts_jax.utils import atomic
from indextts_jax.utils.hashing import digest

FACTS = "facts"  # subdirectory of the results

_folder: Path | None = None
_version = ""


def keep_in(folder: Path | None, version: str = "") -> None:
    """Sets the cache directory; None disables the cache.

    `version` covers everything that results depend on apart from their keys, such as a source hash.
    """
    global _folder, _version
    _folder, _version = folder, version


def remembered(topic: str, key: object, make: Callable[[], Any]) -> Any:
    """The result of `make` (JSON data that depends only on the code and `key`), cached on disk."""
    if _folder is None:
        return make()
    path = _folder / FACTS / f"{digest([topic, key, _version])[:32]}.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["asked"] == [topic, key]:
            return found["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: compute it again
    answer = make()
    with contextlib.suppress(OSError):  # an unwritable directory only costs time
        atomic.write_whole(path, json.dumps({"asked": [topic, key], "answer": answer}).encode())
    return answer
