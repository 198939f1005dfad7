"""`python -m indextts_jax.download`: downloads the published files from the hub to a directory."""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from importers.hub import check, manifest, record
from importers.hub.fetch import disagreement, fetch, kept
from importers.hub.manifest import OPTIONAL, REVISION, TEXT_EMOTION, File, notices, wanted
from importers.hub.progress import Progress
from importers.hub.record import Record
from importers.hub.remote import DownloadError, Hub, Remote
from importers.hub.survey import Place, problem, survey
from importers.release.locate import LAYOUTS
from indextts_jax.cli import runner
from indextts_jax.cli.terminal import count_bar, say, warn
from indextts_jax.errors import InputError, gathered, indented
from indextts_jax.utils.atomic import locked
from indextts_jax.utils.text_table import table

SUMMARY = "downloads the published files of the model, about 9 GB, from the hub."
COMMON = ("version", "dst", "without", "check", "dry_run")
EXAMPLES = (
    "download --dst checkpoints",
    "download --version 2.5 --dst checkpoints25",
    "download --dst checkpoints --without text_emotion",
    "download --dst checkpoints --check",
)
MARGIN = 64 * 2**20  # bytes of the disk to leave free


def define(flags: absl_flags.FlagValues) -> None:
    """The flags of this command."""
    own: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_enum(
        "version",
        next(iter(LAYOUTS)),
        list(LAYOUTS),
        "Version of IndexTTS, each of which needs a directory of its own.",
        **own,
    )
    absl_flags.DEFINE_string(
        "dst", "checkpoints", "Directory for the published files; `import --src` reads it.", **own
    )
    absl_flags.DEFINE_list(
        "without",
        [],
        f"Parts to leave out: {TEXT_EMOTION} (1.2 GB) is only needed for emotion from text.",
        **own,
    )
    absl_flags.DEFINE_bool(
        "check", False, "Only check sizes and hashes of existing files, offline.", **own
    )
    absl_flags.DEFINE_bool(
        "dry_run", False, "Only list the files, sizes and licences, without the network.", **own
    )
    absl_flags.DEFINE_list(
        "accept",
        [],
        "Files to accept although their sizes or hashes differ from the known ones, because their "
        "repository was updated: names as --dry_run lists them.",
        **own,
    )


def main(flags: absl_flags.FlagValues) -> int | None:
    """Downloads, checks or lists."""
    folder, files = _asked(flags)
    if flags.check:
        with count_bar("Checking", "B", unit_scale=True, leave=False, disable=None) as progress:
            checked = check.run(folder, files, set(flags.accept), progress, flags.version)
        if checked.table:
            say(checked.table)
        if checked.error is not None:
            raise InputError(checked.error)
        say(f"all {len(files)} files are present")
        say(f"next: {_next(folder, flags.version)}")
        return 0
    if flags.dry_run:
        say(_listing(survey(folder, files, record.read(folder))))
        say(notices(files))
        say("nothing was downloaded (--dry_run)")
        return 0
    say(notices(files))
    hub = Hub.open(warn)
    try:
        with _reserved(folder):
            _download(hub, folder, files, set(flags.accept))
    except DownloadError as error:
        sys.stderr.write(f"error: {indented(str(error))}{_kept(folder)}\n")
        return runner.FAILURE
    except (KeyboardInterrupt, runner.Terminated):
        if note := _kept(folder):
            warn(note.removeprefix("; "))
        raise
    say(f"all files are present: {folder}")
    say(f"next: {_next(folder, flags.version)}")
    return 0


def _asked(flags: absl_flags.FlagValues) -> tuple[Path, tuple[File, ...]]:
    """The directory, and the files that should be in it, from the flags."""
    for part in flags.without:
        if part not in OPTIONAL:
            raise InputError(f"--without {part}: only {', '.join(OPTIONAL)} can be left out")
    known = {file.path for file in manifest.files_of(flags.version)}
    for path in flags.accept:
        if path not in known:
            raise InputError(f"--accept {path}: no such file; --dry_run lists them")
    if flags.check and flags.dry_run:
        raise InputError("--check and --dry_run are mutually exclusive")
    folder = Path(flags.dst)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--dst {folder} is not a directory")
    if strangers := manifest.foreign(folder, flags.version):
        raise InputError(
            f"--dst {folder} has {', '.join(strangers)}, of another version than "
            f"{LAYOUTS[flags.version].name}: give each version its own directory"
        )
    return folder, wanted(tuple(flags.without), flags.version)


def _next(folder: Path, version: str) -> str:
    name = manifest.checkpoint_name(version)
    return shlex.join(("python", "-m", "indextts_jax.import", "--src", str(folder), "--dst", name))


def _listing(places: Sequence[Place]) -> str:
    """A list of all files with their sizes, where known, and whether they are present."""
    rows = []
    for place in places:
        file = place.file
        size = place.path.stat().st_size if place.there else file.expected
        rough = "" if place.there or file.size is not None else "about"
        words = f"{rough} {size:,}" if size is not None else "a few thousand"
        here = "there" if place.there else "missing"
        rows.append((file.path, words.rjust(len("a few thousand")), here, file.repository))
    total = sum(place.file.expected or 0 for place in places if not place.there)
    listed = table(("file", "bytes", "", "repository"), rows)
    return f"{listed}\nto download: about {total / 1e9:.1f} GB"


@contextlib.contextmanager
def _reserved(folder: Path) -> Iterator[None]:
    """Creates the directory and locks it against other downloads."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / ".download.lock", f"another download is writing to {folder}"):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):  # something was downloaded
                folder.rmdir()


def _download(hub: Hub, folder: Path, files: tuple[File, ...], accept: set[str]) -> None:
    """Downloads every missing file."""
    records = record.read(folder)
    places = survey(folder, files, records, accept)
    wrong = [text for place in places if place.there and (text := problem(place))]
    if wrong:
        what = f"with files that are in {folder} already (delete a file to download it again)"
        raise InputError(gathered(what, wrong))
    missing = [place for place in places if not place.there]
    if not missing:
        return
    remotes = _described(hub, missing, records)
    _check_space(folder, missing, remotes)
    total = sum(_size(place, remote) for place, remote in zip(missing, remotes, strict=True))
    done = sum(kept(place.path, remote) for place, remote in zip(missing, remotes, strict=True))
    if done:
        say(f"{done:,} bytes are here from an earlier run: resuming")
    progress = Progress(total, done)
    try:
        for place, remote in zip(missing, remotes, strict=True):
            name = place.path.relative_to(folder).as_posix()
            records[name] = fetch(hub, place, remote, progress)
            record.write(folder, records)
            say(f"fetched {name}: {records[name].size:,} bytes")
    finally:
        progress.close()


def _described(hub: Hub, missing: Sequence[Place], records: Mapping[str, Record]) -> list[Remote]:
    """The hub's description of every file, all of one repository at the same commit.

    Raises:
        DownloadError: naming every file that differs; nothing has been downloaded then.
    """
    commits = {entry.repository: entry.commit for entry in records.values()}
    remotes, problems = [], []
    for place in missing:
        file = place.file
        remote = hub.describe(file.repository, file.name, commits.get(file.repository) or REVISION)
        commits[file.repository] = remote.commit
        remotes.append(remote)
        if text := disagreement(place, remote):
            problems.append(f"{text}; --accept {file.path} accepts it")
    if problems:
        raise DownloadError(gathered(f"with the files of {hub.endpoint}", problems))
    return remotes


def _size(place: Place, remote: Remote) -> int:
    return (place.file.expected or 0) if remote.size is None else remote.size


def _check_space(folder: Path, missing: Sequence[Place], remotes: Sequence[Remote]) -> None:
    needed = MARGIN
    for place, remote in zip(missing, remotes, strict=True):
        needed += _size(place, remote) - kept(place.path, remote)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder} has {free / 1e9:.2f} GB free; another {needed / 1e9:.2f} GB are needed"
        )


def _kept(folder: Path) -> str:
    """A note on what a stopped download left; empty if nothing."""
    sizes = [path.stat().st_size for path in folder.rglob(".*.partial")]
    if not any(sizes) and not (folder / record.FILE).is_file():
        return ""
    return "; downloaded data is kept, and the same command resumes"
