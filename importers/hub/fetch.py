"""Downloads one file through a partial file, from which the next run resumes.

The partial file is hidden beside the final path, and its name identifies the content, so that two
versions of a file are never joined. It is renamed only once size and hash are those that the hub
and the manifest state.
"""

import errno
import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

from importers.hub.progress import Progress
from importers.hub.record import Record
from importers.hub.remote import DownloadError, Hub, Interrupted, Remote
from importers.hub.survey import Place, hash_into
from indextts_jax.errors import InputError

ENOUGH = 2**20  # bytes that an attempt must gain to count as progress
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


def partial_of(path: Path, remote: Remote) -> Path:
    """Path of a file's partial download."""
    content = f"{remote.etag or remote.commit} {remote.size}"
    mark = hashlib.sha256(content.encode()).hexdigest()[:12]
    return path.with_name(f".{path.name}.{mark}.partial")


def kept(path: Path, remote: Remote) -> int:
    """Bytes of a file that an earlier run downloaded."""
    partial = partial_of(path, remote)
    size = partial.stat().st_size if partial.is_file() else 0
    return size if remote.size is not None and size <= remote.size else 0


def disagreement(place: Place, remote: Remote) -> str | None:
    """How the hub's description of a file differs from the expected one; empty if it agrees."""
    of = f"{remote.name} of {remote.repository}"
    if None not in (place.size, remote.size) and place.size != remote.size:
        return f"{of} has {remote.size:,} bytes on the hub; {place.size:,} expected"
    etag = remote.etag or ""
    if place.sha256 is not None and _SHA256.fullmatch(etag) and etag != place.sha256:
        return (
            f"{of} has different content on the hub (SHA-256 {etag[:16]}..., "
            f"{place.sha256[:16]}... expected)"
        )
    return None


def fetch(hub: Hub, place: Place, remote: Remote, progress: Progress) -> Record:
    """Downloads a file to its place.

    Raises:
        DownloadError: if it cannot be downloaded, or is not as expected; it is not kept then.
        OSError: if it cannot be written; the partial file is kept.
    """
    partial = partial_of(place.path, remote)
    place.path.parent.mkdir(parents=True, exist_ok=True)
    ours = re.compile(re.escape(f".{place.path.name}.") + r"[0-9a-f]{12}\.partial")
    for other in place.path.parent.iterdir():
        if other != partial and ours.fullmatch(other.name) and not other.is_symlink():
            other.unlink()  # of another version
    if partial.is_symlink():
        raise InputError(f"{partial} is a link, where data is to be written: remove it")
    if not kept(place.path, remote):
        partial.unlink(missing_ok=True)
    with progress.of(place.path.name, remote.size, kept(place.path, remote)):
        _complete(hub, remote, partial, progress)
        progress.note("checking")
        digest = _verified(place, remote, partial)
    os.replace(partial, place.path)
    return Record(
        repository=remote.repository,
        name=remote.name,
        commit=remote.commit,
        size=place.path.stat().st_size,
        sha256=digest,
    )


def _complete(hub: Hub, remote: Remote, partial: Path, progress: Progress) -> None:
    """Retries until the file is complete."""
    before = 0

    def size() -> int:
        return partial.stat().st_size if partial.is_file() else 0

    def progressed() -> bool:
        nonlocal before
        gained, before = size() - before, size()
        return gained >= ENOUGH

    def attempt() -> None:
        if remote.size is not None and size() == remote.size and partial.is_file():
            return
        start = size() if remote.size is not None else 0
        with hub.stream(remote, start) as (begins, blocks), partial.open("ab") as file:
            if begins > start:
                raise DownloadError(f"{remote.name}: {hub.endpoint} skipped a part of the file")
            progress.step(begins - size())
            file.truncate(begins)
            for block in blocks:
                write(file, block)
                progress.step(len(block))
                if remote.size is not None and file.tell() > remote.size:
                    return  # a wrong file, of unknown length
            file.flush()
            os.fsync(file.fileno())
        if remote.size is not None and size() < remote.size:
            raise Interrupted(f"{remote.name} broke off at {size():,} of {remote.size:,} bytes")

    before = size()
    try:
        hub.retry(attempt, progressed)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadError(
            f"{partial.parent}: the disk is full, after {size():,} bytes of {remote.name}"
        ) from error


def write(file: BinaryIO, block: bytes) -> None:
    """Writes a block; a separate function so that tests can simulate a full disk."""
    file.write(block)


def _verified(place: Place, remote: Remote, partial: Path) -> str:
    """The SHA-256 of a downloaded file; removes it if it is not the expected one."""
    size, etag = partial.stat().st_size, remote.etag or ""
    digest = hashlib.sha256()
    git = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)  # git's hash of a file
    by_git = _GIT_SHA1.fullmatch(etag) is not None
    hash_into(partial, [digest, git] if by_git else [digest], lambda count: None)
    found = digest.hexdigest()
    if remote.size is not None and size != remote.size:
        problem = f"{size:,} bytes were downloaded, {remote.size:,} expected"
    elif _SHA256.fullmatch(etag) and etag != found:
        problem = f"its SHA-256 is {found[:16]}..., the hub says {etag[:16]}..."
    elif by_git and etag != git.hexdigest():
        problem = f"its git hash is {git.hexdigest()[:16]}..., the hub says {etag[:16]}..."
    elif place.size is not None and size != place.size:
        problem = f"{size:,} bytes were downloaded, {place.size:,} expected"
    elif place.sha256 is not None and place.sha256 != found:
        problem = f"its SHA-256 is {found[:16]}..., {place.sha256[:16]}... expected"
    else:
        return found
    partial.unlink()
    raise DownloadError(
        f"got a wrong file for {place.path} ({remote.name} of {remote.repository}): {problem}; "
        "it was removed"
    )
