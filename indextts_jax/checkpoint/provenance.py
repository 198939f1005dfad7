"""The provenance of a checkpoint: sources, versions, and the hash of every file in it."""

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from indextts_jax.config import DTYPES
from indextts_jax.errors import InputError
from indextts_jax.utils.hashing import FileHash, Version
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 2  # of the checkpoint directory; in format 1 parameters had other names
FILE = "provenance.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ComponentRecord:
    """The record of a saved component."""

    name: str
    parameters: int  # numbers in its arrays
    bytes: int  # of its arrays
    files: tuple[FileHash, ...]
    digest: str = ""  # SHA-256 of its arrays, independent of the files; older programs stored none


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """The metadata of a checkpoint."""

    format: int
    created: str  # UTC, ISO 8601
    dtype: str  # of the stored weights; stored tables are float32
    sources: tuple[FileHash, ...]  # published files, by path in the source directory
    ignored: tuple[str, ...]  # names skipped by --ignore
    versions: tuple[Version, ...]
    files: tuple[FileHash, ...]  # configuration and tokenizer
    components: tuple[ComponentRecord, ...]
    notes: tuple[str, ...] = ()  # where sources were found, and what of them was not read

    def fingerprint(self, names: Iterable[str]) -> str:
        """A hash of the arrays of some components: equal weights, equal fingerprint.

        Raises:
            InputError: if the checkpoint has no digests of them.
        """
        digests = {record.name: record.digest for record in self.components if record.digest}
        wanted = sorted(names)
        if unknown := [name for name in wanted if name not in digests]:
            raise InputError(
                f"the checkpoint has no digest of {', '.join(unknown)}: import the model again"
            )
        text = json.dumps([[name, digests[name]] for name in wanted])
        return hashlib.sha256(text.encode()).hexdigest()


def write(folder: Path, record: Provenance) -> None:
    """Writes the record into a checkpoint's directory."""
    text = json.dumps(to_data(record), indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Provenance:
    """Reads the record in a checkpoint's directory.

    Raises:
        InputError: if it is damaged, or of a format that this program does not read.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error!s:.120}") from error
    found = data.get("format") if isinstance(data, dict) else None
    if type(found) is not int:
        raise InputError(f"{path} is damaged: the format is missing")
    if found < FORMAT:
        raise InputError(
            f"{folder} is a checkpoint of format {found}, from an older program; import it again: "
            f"python -m indextts_jax.import --src DIR --dst {shlex.quote(str(folder))} --force"
        )
    if found > FORMAT:
        raise InputError(
            f"{folder} is a checkpoint of format {found}, from a newer program; this one reads "
            f"format {FORMAT}: upgrade indextts-jax, or import the model again"
        )
    try:
        record = from_data(Provenance, data)
    except ConfigError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if record.dtype not in DTYPES:
        raise InputError(f"{path} is damaged: unknown dtype {record.dtype!r:.40}")
    return record
