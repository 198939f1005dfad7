"""Plain facts that take long to find, kept between runs."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indextts_jax.utils import atomic
from indextts_jax.utils.hashing import digest

FACTS = "facts"  # the subfolder of what `remembered` keeps

_folder: Path | None = None
_version = ""


def keep_in(folder: Path | None, version: str = "") -> None:
    """Keeps facts in a folder from now on; none: not at all.

    `version` stands for all that they depend on besides their keys, such as a hash of the source.
    """
    global _folder, _version
    _folder, _version = folder, version


def remembered(topic: str, key: object, make: Callable[[], Any]) -> Any:
    """Plain data that takes long to find and depends on code and `key` alone, kept between runs."""
    if _folder is None:
        return make()
    path = _folder / FACTS / f"{digest([topic, key, _version])[:32]}.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["asked"] == [topic, key]:
            return found["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or damaged: it is made again
    answer = make()
    with contextlib.suppress(OSError):  # a folder that cannot be written costs time, no result
        atomic.write_whole(path, json.dumps({"asked": [topic, key], "answer": answer}).encode())
    return answer
