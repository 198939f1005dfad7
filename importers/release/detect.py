"""Which version a published model is: its weights say it, never the key `version`.

`gpt.pth` decides, by arrays that only one version has. Without it, files that only one version has
beside it, or the number of text tokens.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from importers.formats.tensors import SourceError, open_tensors
from importers.release.locate import LAYOUTS, candidates_of_main, spellings
from importers.tables import gpt_v25

MARKS = {"2.0": ("speed_emb.weight", "perceiver_encoder.latents"), "2.5": (gpt_v25.MARK,)}
TOKENS = {"2.5": 60509}  # `number_text_tokens` of the published file


def version_of_arrays(names: Iterable[str], file: str) -> str | None:
    """The version whose marks a `gpt.pth` has; None if it has none of them.

    Raises:
        SourceError: if it has arrays of several versions.
    """
    held = set(names)
    found = {version: mark for version, marks in MARKS.items() for mark in marks if mark in held}
    if len(found) > 1:
        shown = ", ".join(f"{mark} of {LAYOUTS[v].name}" for v, mark in found.items())
        raise SourceError(f"{file} has arrays of several versions: {shown}")
    return next(iter(found), None)


def detect(src: Path, settings: Any) -> str:
    """The version of the files in a directory; `settings` is the data of its `config.yaml`.

    Raises:
        SourceError: if files of several versions are mixed.
    """
    settings = settings if isinstance(settings, Mapping) else {}
    found = _of_weights(src, settings.get("gpt_checkpoint"))
    beside = [
        (name, version)
        for version, layout in LAYOUTS.items()
        for name in layout.fixed.values()
        if any(path.is_file() for path in spellings(src / name))
    ]
    if found is not None:
        file, version = found
        if strangers := [(name, other) for name, other in beside if other != version]:
            shown = ", ".join(f"{name} {LAYOUTS[other].name}'s" for name, other in strangers)
            raise SourceError(
                f"{src} mixes files of two versions: {file} is {LAYOUTS[version].name}'s, {shown}; "
                "give each version its own directory"
            )
        return version
    if beside:
        return beside[0][1]
    tokens = settings.get("gpt")
    tokens = tokens.get("number_text_tokens") if isinstance(tokens, Mapping) else None
    return next((version for version, count in TOKENS.items() if count == tokens), "2.0")


def _of_weights(src: Path, named: Any) -> tuple[str, str] | None:
    """The name of `gpt.pth` and its version; None if it is missing, damaged or says nothing."""
    name = named if isinstance(named, str) else ""
    for place in candidates_of_main(src, "gpt", name):
        for path in spellings(place):
            if not path.is_file():
                continue
            try:
                arrays = open_tensors(path, part="model", optional=True)
            except (SourceError, OSError):
                return None  # reported when it is opened for its arrays
            version = version_of_arrays(arrays, path.name)
            return None if version is None else (path.name, version)
    return None


def check_tokens(settings: Mapping[str, Any], rows: int, version: str) -> list[str]:
    """Whether `config.yaml` belongs to another model than the weights, by its text tokens."""
    tokens = settings["gpt"]["number_text_tokens"]
    if tokens + 1 == rows:
        return []
    return [
        f"gpt.number_text_tokens is {tokens}, but gpt.pth ({LAYOUTS[version].name}) has a table of "
        f"{rows} text tokens, expected one more than the setting: the files are of two models or "
        "versions"
    ]
