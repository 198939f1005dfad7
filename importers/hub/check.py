"""What is in a folder of published files, looked at without the network."""

import sys
from collections.abc import Collection
from pathlib import Path

from tqdm import tqdm

from importers.hub import record
from importers.hub.manifest import OPTIONAL, File
from importers.hub.survey import Place, problem, survey
from importers.release.locate import download_command
from indextts_jax.cli.terminal import say
from indextts_jax.errors import InputError, gathered
from indextts_jax.utils.text_table import table


def run(folder: Path, files: tuple[File, ...], accept: Collection[str] = ()) -> None:
    """Prints a table of the files and what was compared of each.

    Raises:
        InputError: naming everything that is missing or wrong.
    """
    places = survey(folder, files, record.read(folder), accept)
    problems = _missing(places)
    rows = []
    there = [place for place in places if place.there]
    with tqdm(
        total=sum(place.path.stat().st_size for place in there if place.sha256),
        desc="Checking",
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        leave=False,
        disable=None,
    ) as bar:
        for place in there:
            bar.set_postfix_str(place.path.name)
            wrong = problem(place, hashed=bar.update)
            problems += [wrong] if wrong else []
            name = place.path.relative_to(folder).as_posix()
            size = f"{place.path.stat().st_size:,}"
            rows.append((name, size, "WRONG" if wrong else _compared(place)))
    if rows:
        say(table(("file", "bytes", "compared"), rows))
    if problems:
        message = gathered(f"with the files of {folder}", problems)
        if len(there) < len(places):
            message += "\n  " if len(problems) > 1 else "; "
            message += f"what is missing comes with: {download_command(folder)}"
        raise InputError(message)
    say(f"all {len(places)} files are there")


def _compared(place: Place) -> str:
    """What was known of a file to compare it with."""
    if place.sha256 is not None:
        return "SHA-256"
    return "its own header" if place.size is None else "size, its own header"


def _missing(places: list[Place]) -> list[str]:
    """A line for each file that is missing; one for a part that is missing as a whole."""
    problems = []
    for part in (None, *OPTIONAL):
        group = [place for place in places if place.file.part == part]
        absent = [place for place in group if not place.there]
        if part is not None and absent and len(absent) == len(group):
            problems.append(
                f"missing: all {len(group)} files of {part} (--without {part} passes over them)"
            )
        else:
            problems += [
                f"missing: {place.path} ({place.file.name} of {place.file.repository})"
                for place in absent
            ]
    return problems
