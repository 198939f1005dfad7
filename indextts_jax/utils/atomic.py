"""Atomic writing of files and directories: written beside the destination, then renamed."""

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import filelock

from indextts_jax.errors import InputError

QUIET = 0.5  # seconds
PATIENCE = 30.0  # seconds
_PREVIOUS = "previous"  # what a replaced destination is called for a moment
MARK = ".made_by_indextts_jax"  # a file in directories that we may remove


@contextlib.contextmanager
def staging(target: Path, *, force: bool, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A new empty directory beside `target`, exclusive to this process and always removed.

    `ours` says whether `force` may replace an existing destination.

    Raises:
        InputError: if the destination exists, cannot be written, or is being written; if something
            that is not ours has the name of the directory beside it.
    """
    made = _make_parents(target)
    stage = target.parent / f".{target.name}.partial"
    try:
        lock = target.parent / f".{target.name}.lock"
        with locked(lock, f"another process is writing {target}"):
            try:
                # Clean up after a killed process: restore what it was replacing, remove the rest.
                _check_ours(stage)
                _restore(stage, target)
                if stage.exists():
                    shutil.rmtree(stage)
                stage.mkdir()
                (stage / MARK).touch()
                check_free(target, force=force, ours=ours)
                yield stage
            finally:
                if _is_ours(stage):
                    _restore(stage, target)  # if it fails, the next process will do it
                    _remove(stage)
    except BaseException:
        for folder in made:  # deepest first; a directory in use by others is not empty and stays
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _is_ours(stage: Path) -> bool:
    """Whether a directory was made by `staging`, or by a process that was killed in it."""
    if stage.is_symlink() or not stage.is_dir():
        return False
    return (stage / MARK).is_file() or _is_empty(stage)


def _check_ours(stage: Path) -> None:
    if os.path.lexists(stage) and not _is_ours(stage):
        raise InputError(
            f"{stage} is needed for a moment, but was not made by this program: move it away"
        )


def put_in_place(stage: Path, finished: Path, target: Path) -> None:
    """Renames a finished directory to its destination, moving an existing one aside."""
    if os.path.lexists(target):
        target.rename(stage / _PREVIOUS)  # `staging` restores it if the next rename fails
    finished.rename(target)


def link_folder(source: Path, target: Path) -> None:
    """Copies a directory by hard links, or by copying where links are not possible."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:  # hard links not supported, or too many
            shutil.copy2(old, new)

    shutil.copytree(source, target, copy_function=link)


def persistently(step: Callable[[], bool]) -> None:
    """Repeats a step until it returns True, even if interrupted; then raises the interrupt."""
    interruption: BaseException | None = None
    finished = False
    while not finished:
        try:
            finished = step()
        except Exception:
            raise
        except BaseException as error:  # KeyboardInterrupt and the like
            interruption = error
    if interruption is not None:
        raise interruption


def check_free(target: Path, *, force: bool, ours: Callable[[Path], bool]) -> None:
    """Checks that the destination is free or, with `force`, one that `ours` accepts.

    Raises:
        InputError: if it is not.
    """
    if not os.path.lexists(target):
        return
    if not force:
        raise InputError(f"{target} exists already; --force replaces it")
    if target.is_symlink() or not target.is_dir() or not (ours(target) or _is_empty(target)):
        raise InputError(f"{target} exists and is not a checkpoint: it is not replaced")


_OF_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # made by file managers


def files_below(folder: Path) -> list[str]:
    """The files and links in a directory and all below it, by their paths from there."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def check_only(folder: Path, known: Collection[str], what: str, nested: bool = False) -> None:
    """Checks that a directory that is to be replaced holds nothing but what is known.

    `known` names what is directly in it; or, with `nested`, all files below it.

    Raises:
        InputError: naming something else.
    """
    held = files_below(folder) if nested else [path.name for path in folder.iterdir()]
    others = sorted(
        name for name in {*held} - {*known, MARK} if name.rpartition("/")[2] not in _OF_SYSTEMS
    )
    if others:
        raise InputError(
            f"{folder} is {what}, but also holds {others[0]}, which would be lost: it is not "
            "replaced"
        )


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _make_parents(target: Path) -> list[Path]:
    """Creates the parent directories; returns those that were missing, deepest first."""
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {target.parent}: {error.strerror}") from error
    return missing


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Holds a lock file and removes it afterwards; if the process dies, the system frees the lock.

    Raises:
        InputError: if another process holds it (with the message `busy`), or it cannot be created.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:  # also where its holder is just removing it
        found = None
    if found is not None and (not stat.S_ISREG(found.st_mode) or found.st_size):
        raise InputError(f"{path} is needed as a lock file, but holds something: move it away")
    lock = filelock.FileLock(path)
    try:
        while not _acquired(lock, path, busy):
            pass
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # Windows cannot remove an open file; `release` does
                path.unlink()  # before the release: afterwards it may be another process's file
            lock.release()


def _acquired(lock: filelock.BaseFileLock, path: Path, busy: str) -> bool:
    """Whether the lock was acquired; if not, its file was just removed: the caller must retry."""
    try:
        file = path.open("ab")
    except OSError as error:
        raise InputError(f"cannot write to {path.parent}: {error.strerror}") from error
    # While the file is open, no new file gets its inode number. If the name still has that number
    # afterwards, the lock is on this file, not on one that its holder removed in the meantime.
    with file:
        refused, same = None, False
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            refused = error
        except (OSError, NotImplementedError) as error:
            raise InputError(f"cannot lock {path}: {error}") from error
        with contextlib.suppress(FileNotFoundError):
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
    if same and refused:
        raise InputError(busy) from refused
    if not same:
        lock.release()
    return same


def _restore(stage: Path, target: Path) -> None:
    """Restores a destination that was moved aside, if nothing has replaced it."""
    previous = stage / _PREVIOUS
    if previous.is_dir() and not os.path.lexists(target):
        previous.rename(target)


def _remove(stage: Path) -> None:
    """Removes the staging directory; retries while something is still being written there."""
    pauses = iter([0.1] * 50)

    def removed() -> bool:
        shutil.rmtree(stage, ignore_errors=True)
        if not os.path.lexists(stage) or (pause := next(pauses, None)) is None:
            return True
        time.sleep(pause)
        return False

    persistently(removed)


def await_writers(folder: Path) -> None:
    """Waits until nothing in a directory has changed for `QUIET` seconds.

    When a save fails, Orbax does not wait for its other writers; they would create files again
    after the directory was removed.
    """
    end, before = time.monotonic() + PATIENCE, None
    while time.monotonic() < end and (now := _state(folder)) != before:
        before = now
        time.sleep(QUIET)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and modification time of everything in a directory."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):  # removed in the meantime
                status = os.stat(path)
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file beside its path, then renames it; a failure or a signal leaves nothing."""
    path = Path(os.path.realpath(path))  # follow a symbolic link
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{secrets.token_hex(8)}.partial"
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
