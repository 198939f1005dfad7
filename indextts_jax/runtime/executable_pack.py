"""Compiled programs in one file, for machines of the same kind with the same versions.

Programs are machine code. Unpacking runs nothing and checks the hash in each program's header, but
stored programs run later: unpack only files from people you trust.
"""

import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import jax

from indextts_jax.errors import InputError
from indextts_jax.runtime.environment import Environment, environment
from indextts_jax.runtime.executables import DESCRIPTION, ENDING, ExecutableStore
from indextts_jax.utils import atomic
from indextts_jax.utils.disk_cache import FACTS
from indextts_jax.utils.hashing import hash_file
from indextts_jax.utils.strict_data import from_data, to_data

FORMAT = 2
MANIFEST = "pack.json"  # which environment the programs are for
PROGRAMS = "programs/"
_NAME = re.compile(
    rf"{re.escape(MANIFEST)}|{FACTS}/[0-9a-f]{{32}}\.json"
    rf"|{PROGRAMS}[0-9a-f]{{16}}/[0-9a-f]{{32}}{re.escape(ENDING)}"
)
_MOST = 1 << 31  # bytes of one file


class Pack(NamedTuple):
    """A pack that was written or read."""

    path: Path
    programs: int
    bytes: int  # of the pack
    sha256: str  # of the pack


def check_replaceable(path: Path) -> None:
    """Checks that a pack may be written to a path.

    Raises:
        InputError: if something else is there.
    """
    if not os.path.lexists(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            if MANIFEST in archive.namelist():
                return
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError):
        pass  # whatever it is, it is not a pack
    raise InputError(f"{path} exists and is not a pack of compiled programs: it is not replaced")


def pack(kept: ExecutableStore, device: jax.Device, path: Path, config: str | None = None) -> Pack:
    """Writes the programs for a device, of one configuration or of all; replaces an existing file.

    Raises:
        InputError: if there are no programs, or the file cannot be written.
    """
    check_replaceable(path)
    here = environment(device)
    found = sorted((kept.folder / here.key).glob(f"{config or '*'}/*{ENDING}"))
    if not found:
        whose = "this checkpoint" if config else "this device"
        raise InputError(
            f"{kept.folder} has no programs for {whose}: run python -m indextts_jax.warmup "
            "--checkpoint DIR first"
        )
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            manifest = {"format": FORMAT, "environment": to_data(here)}
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
            for file in found:
                archive.write(file, f"{PROGRAMS}{file.parent.name}/{file.name}")
            for file in (kept.folder / FACTS).glob("*.json"):
                archive.write(file, f"{FACTS}/{file.name}")
        atomic.write_whole(path, stream.getbuffer())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    whole = hash_file(path)
    return Pack(path, len(found), whole.size, whole.sha256)


def unpack(
    kept: ExecutableStore, device: jax.Device, path: Path, config: str | None = None
) -> Pack:
    """Copies the programs of a pack into the cache, without running any.

    Raises:
        InputError: if the pack is damaged, or made for another device, versions or configuration.
    """
    here = environment(device)
    no_pack = f"{path} is not a pack of compiled programs"
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = [
                entry.filename
                for entry in archive.infolist()
                if not _NAME.fullmatch(entry.filename) or entry.file_size > _MOST
            ]
            contents = {} if wrong else {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, zlib.error) as error:
        # zipfile raises RuntimeError for encryption, and for unknown compression.
        raise InputError(f"{no_pack}: {error}") from error
    except OSError as error:  # also for a damaged offset before the beginning of the file
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if wrong:
        raise InputError(f"{no_pack}: it holds {wrong[0]!r:.80}, which is not a program file")
    try:
        manifest = json.loads(contents.pop(MANIFEST))
        made_by = manifest["format"]
        there = from_data(Environment, manifest["environment"]) if made_by == FORMAT else None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{no_pack}: its {MANIFEST} is missing or damaged") from error
    if there is None:
        raise InputError(f"{no_pack}: it has format {made_by!r:.20}, expected {FORMAT}")
    if differ := here.differences(there):
        raise InputError(f"{path} was made in another environment: {'; '.join(differ)}")
    programs = [name for name in contents if name.endswith(ENDING)]
    for name in programs:
        head, _, body = contents[name].partition(
            b"\n"
        )  # the header line holds the hash of the rest
        if f'"sha256": "{hashlib.sha256(body).hexdigest()}"'.encode() not in head:
            raise InputError(f"{path} is damaged: the SHA-256 of {name} is not the recorded one")
    configs = sorted({name.split("/")[1] for name in programs})
    if not configs or config not in (None, *configs):
        raise InputError(
            f"{path} has no programs of this checkpoint's configuration ({config}); it has "
            f"those of {', '.join(configs) or 'none'}"
        )
    root = kept.folder / here.key
    try:
        atomic.write_whole(root / DESCRIPTION, json.dumps(to_data(here), indent=1).encode())
        for name, content in contents.items():
            target = root / name.removeprefix(PROGRAMS) if name in programs else kept.folder / name
            atomic.write_whole(target, content)
    except OSError as error:
        raise InputError(f"{kept.folder} cannot be written: {error.strerror}") from error
    whole = hash_file(path)
    return Pack(path, len(programs), whole.size, whole.sha256)
