"""Folders and files that appear at once, or not at all: written beside, then renamed."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from indextts_jax.errors import InputError

QUIET = 0.5  # seconds
PATIENCE = 30.0  # seconds
_PREVIOUS = "previous"  # what a replaced destination is called for a moment


@contextlib.contextmanager
def staging(target: Path, *, force: bool, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """An empty folder beside `target`, for this process alone, and removed whatever happens.

    `ours` says of an existing destination
    whether `force` may replace it.

    Raises:
        InputError: if the destination is taken, cannot be written to, or is being written.
    """
    made = _make_parents(target)
    stage = target.parent / f".{target.name}.partial"
    try:
        lock = target.parent / f".{target.name}.lock"
        with locked(lock, f"another process is writing {target}"):
            try:
                # What a killed process left goes; what it was replacing comes back first.
                _restore(stage, target)
                if stage.exists():
                    shutil.rmtree(stage)
                stage.mkdir()
                check_free(target, force=force, ours=ours)
                yield stage
            finally:
                _restore(stage, target)  # if it fails, the next process tries again
                _remove(stage)
    except BaseException:
        for folder in made:  # deepest first; one that others use by now is not empty
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def put_in_place(stage: Path, finished: Path, target: Path) -> None:
    """Renames a finished folder to its destination, swapping out what is there."""
    if os.path.lexists(target):
        target.rename(stage / _PREVIOUS)  # `staging` puts it back if nothing takes its place
    finished.rename(target)


def link_folder(source: Path, target: Path) -> None:
    """A folder of the same files under second names, or, where there can be none, of copies."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:  # no such names in this file system, or too many of them
            shutil.copy2(old, new)

    shutil.copytree(source, target, copy_function=link)


def persistently(step: Callable[[], bool]) -> None:
    """Repeats a step until it gives true, even if interrupted, and only then is interrupted."""
    interruption: BaseException | None = None
    finished = False
    while not finished:
        try:
            finished = step()
        except Exception:
            raise
        except BaseException as error:  # what signals raise
            interruption = error
    if interruption is not None:
        raise interruption


def check_free(target: Path, *, force: bool, ours: Callable[[Path], bool]) -> None:
    """Makes sure that a folder may appear there, or, with `force`, replace what `ours` says.

    Raises:
        InputError: if it may not.
    """
    if not os.path.lexists(target):
        return
    if not force:
        raise InputError(f"{target} exists already; --force replaces it")
    if target.is_symlink() or not target.is_dir() or not (ours(target) or _is_empty(target)):
        raise InputError(f"{target} exists and is no checkpoint: it is not replaced")


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _make_parents(target: Path) -> list[Path]:
    """Makes the folders above the destination; gives those that were not there, deepest first."""
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {target.parent}: {error.strerror}") from error
    return missing


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Holds a lock file, which is removed afterwards; the system frees it if the process dies.

    Raises:
        InputError: if another process holds it (`busy` is the message), or it cannot be made.
    """
    lock = filelock.FileLock(path)
    try:
        while not _acquired(lock, path, busy):
            pass
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # Windows removes no open file: `release` does
                path.unlink()  # before the release: the name may be another process's afterwards
            lock.release()


def _acquired(lock: filelock.BaseFileLock, path: Path, busy: str) -> bool:
    """Whether the lock is held; if not, its file was just removed, and one should try again."""
    try:
        file = path.open("ab")
    except OSError as error:
        raise InputError(f"cannot write to {path.parent}: {error.strerror}") from error
    # While it is open, no new file gets its number: if the name still has that number afterwards,
    # the lock was taken on this file, and not on one that its holder removed meanwhile.
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
    """Puts a replaced checkpoint back, if nothing has taken its place."""
    previous = stage / _PREVIOUS
    if previous.is_dir() and not os.path.lexists(target):
        previous.rename(target)


def _remove(stage: Path) -> None:
    """Removes the staging folder, again if something was still being written there."""
    pauses = iter([0.1] * 50)

    def removed() -> bool:
        shutil.rmtree(stage, ignore_errors=True)
        if not os.path.lexists(stage) or (pause := next(pauses, None)) is None:
            return True
        time.sleep(pause)
        return False

    persistently(removed)


def await_writers(folder: Path) -> None:
    """Waits until nothing below a folder has changed for `QUIET` seconds.

    When a save fails, Orbax does not wait for its other writers, and what they make anew after the
    folder was removed would stay.
    """
    end, before = time.monotonic() + PATIENCE, None
    while time.monotonic() < end and (now := _state(folder)) != before:
        before = now
        time.sleep(QUIET)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything below a folder."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):  # gone meanwhile
                status = os.stat(path)
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file beside its path and renames it; a failure or a signal leaves nothing."""
    path = Path(os.path.realpath(path))  # a link stays one
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
