"""What was downloaded: `downloaded.json`, so that a later check needs no network."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from indextts_jax.errors import InputError
from indextts_jax.utils.atomic import write_whole

FILE = "downloaded.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One downloaded file, verified against the hub's description."""

    repository: str
    name: str  # its path in the repository
    commit: str | None  # of the repository
    size: int
    sha256: str


def read(folder: Path) -> dict[str, Record]:
    """The records by relative path; empty if nothing was downloaded to the directory.

    Raises:
        InputError: if the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        records = {name: Record(**entry) for name, entry in data["files"].items()}
        for record in records.values():
            words = (record.repository, record.name, record.commit or "", record.sha256)
            if type(record.size) is not int or not all(type(word) is str for word in words):
                raise TypeError("a value of the wrong type")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or of another version ({error!s:.80}): delete it; files are then "
            "checked without its hashes"
        ) from error
    return records


def write(folder: Path, records: Mapping[str, Record]) -> None:
    """Writes the records atomically."""
    data = {
        "format": FORMAT,
        "files": {path: dataclasses.asdict(records[path]) for path in sorted(records)},
    }
    write_whole(folder / FILE, (json.dumps(data, indent=1) + "\n").encode())
