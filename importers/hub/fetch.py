"""One file from the hub to its place: by a partial file that the next run goes on with.

The partial file lies beside the place, hidden, and carries a mark of the content that it is a part
of, so that no two versions of a file are ever joined. It gets its final name only once its size
and its hash are what the hub and the manifest say.
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

ENOUGH = 2**20  # bytes by which an attempt must get on, to be no attempt in vain
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


def partial_of(path: Path, remote: Remote) -> Path:
    """Where the part of a file lies that has come so far."""
    content = f"{remote.etag or remote.commit} {remote.size}"
    mark = hashlib.sha256(content.encode()).hexdigest()[:12]
    return path.with_name(f".{path.name}.{mark}.partial")


def kept(path: Path, remote: Remote) -> int:
    """How many bytes of a file are here already, from an earlier run."""
    partial = partial_of(path, remote)
    size = partial.stat().st_size if partial.is_file() else 0
    return size if remote.size is not None and size <= remote.size else 0


def disagreement(place: Place, remote: Remote) -> str | None:
    """What the hub says of a file that does not agree with what is known of it."""
    of = f"{remote.name} of {remote.repository}"
    if None not in (place.size, remote.size) and place.size != remote.size:
        return f"{of} has {remote.size:,} bytes on the hub; {place.size:,} expected"
    told = remote.etag or ""
    if place.sha256 is not None and _SHA256.fullmatch(told) and told != place.sha256:
        return (
            f"{of} has another content on the hub (SHA-256 {told[:16]}..., "
            f"{place.sha256[:16]}... expected)"
        )
    return None


def fetch(hub: Hub, place: Place, remote: Remote, progress: Progress) -> Record:
    """Brings a file to its place.

    Raises:
        DownloadError: if it does not come, or is not what it should be; then it is not left there.
        OSError: if it cannot be written; what came is kept.
    """
    partial = partial_of(place.path, remote)
    place.path.parent.mkdir(parents=True, exist_ok=True)
    for other in place.path.parent.glob(f".{_escaped(place.path.name)}.*.partial"):
        if other != partial:
            other.unlink()  # of another version
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


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _complete(hub: Hub, remote: Remote, partial: Path, progress: Progress) -> None:
    """Attempts to get the rest, until all of it is there."""
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
                raise DownloadError(f"{remote.name}: {hub.endpoint} left out a part of the file")
            progress.step(begins - size())
            file.truncate(begins)
            for block in blocks:
                write(file, block)
                progress.step(len(block))
                if remote.size is not None and file.tell() > remote.size:
                    return  # a wrong file, and who knows how long
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
    """Writes a block; by itself, so that tests can fill the disk."""
    file.write(block)


def _verified(place: Place, remote: Remote, partial: Path) -> str:
    """The SHA-256 of a file that came, if it is the right one; a wrong one is removed."""
    size, told = partial.stat().st_size, remote.etag or ""
    digest = hashlib.sha256()
    git = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)  # git's hash of a file
    by_git = _GIT_SHA1.fullmatch(told) is not None
    hash_into(partial, [digest, git] if by_git else [digest], lambda count: None)
    found = digest.hexdigest()
    if remote.size is not None and size != remote.size:
        problem = f"{size:,} bytes came, {remote.size:,} expected"
    elif _SHA256.fullmatch(told) and told != found:
        problem = f"its SHA-256 is {found[:16]}..., the hub says {told[:16]}..."
    elif by_git and told != git.hexdigest():
        problem = f"its git hash is {git.hexdigest()[:16]}..., the hub says {told[:16]}..."
    elif place.size is not None and size != place.size:
        problem = f"{size:,} bytes came, {place.size:,} expected"
    elif place.sha256 is not None and place.sha256 != found:
        problem = f"its SHA-256 is {found[:16]}..., {place.sha256[:16]}... expected"
    else:
        return found
    partial.unlink()
    raise DownloadError(
        f"a wrong file came for {place.path} ({remote.name} of {remote.repository}): {problem}; "
        "it was removed"
    )
