"""Finds the published files below a directory, and checks them."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from importers.formats import zips
from importers.formats.mapped import MappedFile, SourceError
from importers.formats.safetensors_header import read_header
from importers.hub.manifest import File
from importers.hub.record import Record
from importers.release import locate

BLOCK = 2**20  # bytes read at once
_TORCH = (".pth", ".pt", ".bin")


@dataclasses.dataclass(frozen=True)
class Place:
    """The path and the expected content of one published file."""

    file: File
    path: Path  # where it is, or is to be put
    there: bool
    # Expected size and hash, where known: from the download record, else from the manifest.
    size: int | None
    sha256: str | None


def survey(
    folder: Path,
    files: Sequence[File],
    records: Mapping[str, Record],
    accept: Collection[str] = (),
) -> list[Place]:
    """Every file, searched for where the importer would find it.

    Files in `accepted` may have any content.
    """
    found: dict[str, Path] = {}
    places = []
    for file in files:
        held = next((path for path in _candidates(folder, file, found) if path.is_file()), None)
        path = held or _target(folder, file, found)
        if held is not None:
            found[file.path] = held
        accepted = file.path in accept
        size, sha256 = (None, None) if accepted else _known(folder, file, path, records)
        places.append(Place(file, path, held is not None, size, sha256))
    return places


def _target(folder: Path, file: File, found: Mapping[str, Path]) -> Path:
    """Where a missing file belongs: settings beside the existing weights."""
    if file.beside is not None and file.beside in found:
        return found[file.beside].parent / file.name
    return folder / file.path


def _candidates(folder: Path, file: File, found: Mapping[str, Path]) -> list[Path]:
    if file.beside is not None:
        return [_target(folder, file, found)]
    if file.auxiliary is not None:
        return locate.candidates(folder, file.auxiliary)
    if file.part is not None:
        return [folder / file.path]
    return locate.spellings(folder / file.path)


def _known(
    folder: Path, file: File, path: Path, records: Mapping[str, Record]
) -> tuple[int | None, str | None]:
    """Expected size and hash of a file; unknown for one that the user put there."""
    name = path.relative_to(folder).as_posix()
    if name in records:
        return records[name].size, records[name].sha256
    if path.suffix != Path(file.path).suffix:
        return None, None  # the same arrays in another format
    return file.size, file.sha256


def problem(place: Place, *, hashed: Callable[[int], object] | None = None) -> str | None:
    """The problem with an existing file, or None.

    With `hashed`, a progress callback, the file is hashed if its hash is known. Otherwise its own
    header must match the file.
    """
    size = place.path.stat().st_size
    if place.size is not None and size != place.size:
        return f"{place.path} has {size:,} bytes; {place.size:,} expected"
    if place.sha256 is None:
        try:
            readable(place.path)
        except SourceError as error:
            return str(error)
    elif hashed is not None:
        digest = hashlib.sha256()
        hash_into(place.path, [digest], hashed)
        if digest.hexdigest() != place.sha256:
            return (
                f"{place.path} differs from what was published (SHA-256 "
                f"{digest.hexdigest()[:16]}..., {place.sha256[:16]}... expected)"
            )
    return None


def hash_into(path: Path, digests: Sequence["hashlib._Hash"], step: Callable[[int], object]) -> int:
    """Feeds a file to digests and calls `step` for every block; returns the number of bytes."""
    total = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in digests:
                digest.update(block)
            total += len(block)
            step(len(block))
    return total


def readable(path: Path) -> None:
    """Checks a file against its own header, so that a truncated file is found.

    Raises:
        SourceError: if it does not match.
    """
    if path.suffix == ".safetensors":
        read_header(MappedFile(path))
    elif path.suffix in _TORCH:
        file = MappedFile(path)
        if bytes(file.view(0, min(file.size, 4))) != b"PK\x03\x04":
            # Imported here: it loads JAX, and is rarely needed.
            from importers.formats.tensors import check_kind

            check_kind(file)
        for entry in zips.entries(file).values():
            zips.locate(file, entry)
    elif path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path} is not JSON ({error!s:.80})") from error
    elif not path.stat().st_size:
        raise SourceError(f"{path}: the file is empty")
