"""Checks a directory of published files without the network."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from importers.hub import record
from importers.hub.manifest import OPTIONAL, File
from importers.hub.survey import Place, problem, survey
from importers.release.locate import LAYOUTS, download_command
from indextts_jax.errors import gathered
from indextts_jax.utils.text_table import table


class Checked(NamedTuple):
    """The result of a check: a table of the files, and the problems found."""

    table: str
    error: str | None


def run(
    folder: Path,
    files: tuple[File, ...],
    accept: Collection[str] = (),
    progress: Callable[[int, int, str], None] = lambda done, of, name: None,
    version: str = "2.0",
) -> Checked:
    """Checks every file; `progress` gets the bytes hashed, their total, and the file's name."""
    places = survey(folder, files, record.read(folder), accept)
    problems = _missing(places)
    rows = []
    there = [place for place in places if place.there]
    done, total = 0, sum(place.path.stat().st_size for place in there if place.sha256)
    for place in there:

        def hashed(count: int, name: str = place.path.name) -> None:
            nonlocal done
            done += count
            progress(done, total, name)

        hashed(0)
        wrong = problem(place, hashed=hashed)
        problems += [wrong] if wrong else []
        name = place.path.relative_to(folder).as_posix()
        size = f"{place.path.stat().st_size:,}"
        rows.append((name, size, "WRONG" if wrong else _compared(place)))
    message = gathered(f"with the files of {folder}", problems) if problems else None
    if message and len(there) < len(places):
        message += "\n  " if len(problems) > 1 else "; "
        message += (
            f"download missing files with: {download_command(folder, LAYOUTS[version].repository)}"
        )
    return Checked(table(("file", "bytes", "compared"), rows) if rows else "", message)


def _compared(place: Place) -> str:
    """What a file was checked against."""
    if place.sha256 is not None:
        return "SHA-256"
    return "its own header" if place.size is None else "size, its own header"


def _missing(places: list[Place]) -> list[str]:
    """A line for each missing file; a single line for an optional part that is missing entirely."""
    problems = []
    for part in (None, *OPTIONAL):
        group = [place for place in places if place.file.part == part]
        absent = [place for place in group if not place.there]
        if part is not None and absent and len(absent) == len(group):
            problems.append(
                f"missing: all {len(group)} files of {part} (--without {part} skips them)"
            )
        else:
            problems += [
                f"missing: {place.path} ({place.file.name} of {place.file.repository})"
                for place in absent
            ]
    return problems
