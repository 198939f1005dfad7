"""Folders and files that appear at once, or not at all: written beside, then renamed."""

import contextlib
import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from indextts_jax.errors import InputError

_WINDOWS = sys.platform == "win32"
QUIET = 0.5  # seconds
PATIENCE = 30.0  # seconds
_PREVIOUS = "previous"  # what a replaced destination is called for a moment


@contextlib.contextmanager
def staging(target: Path, *, force: bool, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """An empty folder beside `target`, locked, and removed at the end whatever happens.

    What a killed process left there is removed first. `ours` says of an existing destination
    whether `force` may replace it.

    Raises:
        InputError: if the destination is taken, cannot be written to, or is being written.
    """
    made = _make_parents(target)
    stage = target.parent / f".{target.name}.partial"
    try:
        with _locked(stage, target):
            try:
                _clear(stage, target)
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
def _locked(stage: Path, target: Path) -> Iterator[None]:
    """Holds the staging folder for this process; the system frees it if the process dies."""
    descriptor = None
    while descriptor is None:
        descriptor = _try_lock(stage, target)
    try:
        yield
    finally:
        os.close(descriptor)
        if _WINDOWS:
            with contextlib.suppress(OSError):  # another process has it open, and will remove it
                _lock_path(stage).unlink()


def _lock_path(stage: Path) -> Path:
    """What is locked: the folder itself, or, where folders cannot be opened, a file beside it."""
    return stage.with_suffix(".lock") if _WINDOWS else stage


def _lock(descriptor: int) -> None:
    """Locks an open file or folder, or raises OSError if another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_lock(stage: Path, target: Path) -> int | None:
    """What is locked, open; none if the folder vanished meanwhile, and one must try again."""
    try:
        stage.mkdir(exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT if _WINDOWS else os.O_RDONLY
        descriptor = os.open(_lock_path(stage), flags)
    except FileNotFoundError:
        return None  # the process that held it has just removed it
    except OSError as error:
        raise InputError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        _lock(descriptor)
        if os.path.samestat(os.fstat(descriptor), os.stat(_lock_path(stage))):
            return descriptor
    except FileNotFoundError:
        pass
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            raise InputError(f"another process is writing {target}") from error
        raise InputError(f"cannot lock {_lock_path(stage)}: {error.strerror}") from error
    os.close(descriptor)
    return None


def _clear(stage: Path, target: Path) -> None:
    """Removes what a killed process left; a checkpoint that it was replacing goes back first."""
    _restore(stage, target)
    for entry in list(stage.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


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
