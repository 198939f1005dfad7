"""Compiled programs in one file, for machines of the same kind with the same versions.

Programs are machine code. Nothing of a pack is run as it is taken in, and every file is compared
with its hash; but what is kept is run later: take packs only from people you trust.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax

from indextts_jax.errors import InputError
from indextts_jax.runtime.environment import Environment, environment
from indextts_jax.runtime.executables import DESCRIPTION, ENDING, Programs
from indextts_jax.utils import atomic
from indextts_jax.utils.disk_cache import FACTS
from indextts_jax.utils.hashing import hash_file
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1
MANIFEST = "pack.json"
_CONFIG, _FILE = r"[0-9a-f]{16}", r"[0-9a-f]{32}"
_ENTRY = re.compile(rf"(?:programs/{_CONFIG}/{_FILE}{re.escape(ENDING)}|{FACTS}/{_FILE}\.json)")
_MOST = 1 << 31  # bytes of one file
_MANIFEST_MOST = 1 << 24


class Pack(NamedTuple):
    """What went into a pack, or came out of it."""

    path: Path
    programs: int
    bytes: int  # of the pack
    sha256: str  # of the pack


def pack(kept: Programs, device: jax.Device, path: Path, config: str | None = None) -> Pack:
    """Writes the programs for a device, of one configuration or of all; replaces what is there.

    Raises:
        InputError: if there are none, or the file cannot be written.
    """
    here = environment(device)
    root = kept.folder / here.key
    found = sorted(root.glob(f"{config or '*'}/*{ENDING}"))
    if not found:
        whose = "this checkpoint" if config else "this device"
        raise InputError(
            f"{kept.folder} has no programs for {whose}: run python -m indextts_jax.warmup "
            "--checkpoint DIR first"
        )
    entries = {f"programs/{file.parent.name}/{file.name}": file for file in found}
    entries |= {f"{FACTS}/{file.name}": file for file in (kept.folder / FACTS).glob("*.json")}
    files = [to_data(hash_file(file, name)) for name, file in entries.items()]
    manifest = {"format": FORMAT, "environment": to_data(here), "files": files}
    path = Path(os.path.realpath(path))
    partial = path.parent / f".{secrets.token_hex(8)}.partial"
    try:
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
            for name, file in entries.items():
                archive.write(file, name)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    whole = hash_file(path)
    return Pack(path, len(found), whole.size, whole.sha256)


def unpack(kept: Programs, device: jax.Device, path: Path, config: str | None = None) -> Pack:
    """Takes the programs of a pack into the cache; nothing of them is run.

    Raises:
        InputError: if the pack is damaged, or made for another device, versions or configuration.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            here = environment(device)
            if differ := here.differences(manifest.environment):
                raise InputError(f"{path} was made for another place: {'; '.join(differ)}")
            configs = {name.split("/")[1] for name in manifest.files if name.startswith("programs")}
            if config is not None and config not in configs:
                raise InputError(
                    f"{path} has no programs of this checkpoint's configuration ({config}); it has "
                    f"those of {', '.join(sorted(configs)) or 'none'}"
                )
            contents = {}
            for name, (size, sha256) in manifest.files.items():
                contents[name] = _content(archive, name, size, sha256, path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        # The second is how zipfile refuses a kind of compression that it does not know.
        raise InputError(f"{path} is no pack of compiled programs: {error}") from error
    root = kept.folder / here.key
    try:
        atomic.write_whole(root / DESCRIPTION, json.dumps(to_data(here), indent=1).encode())
        for name, content in contents.items():
            folder, _, rest = name.partition("/")
            target = kept.folder / FACTS if folder == FACTS else root
            atomic.write_whole(target / rest, content)
    except OSError as error:
        raise InputError(f"{kept.folder} cannot be written: {error.strerror}") from error
    whole = hash_file(path)
    count = sum(name.endswith(ENDING) for name in contents)
    return Pack(path, count, whole.size, whole.sha256)


class _Manifest(NamedTuple):
    environment: Environment
    files: dict[str, tuple[int, str]]  # size and SHA-256 by name


def _manifest(archive: zipfile.ZipFile, path: Path) -> _Manifest:
    """What a pack says of itself.

    Raises:
        InputError: if it is damaged, or names what is no program's file.
    """

    def wrong(what: str) -> InputError:
        return InputError(f"{path} is no pack of compiled programs: {what}")

    if MANIFEST not in archive.namelist():
        raise wrong(f"it has no {MANIFEST}")
    if archive.getinfo(MANIFEST).file_size > _MANIFEST_MOST:
        raise wrong(f"its {MANIFEST} is too long")
    try:
        data: Any = json.loads(archive.read(MANIFEST))
        if data["format"] != FORMAT:
            raise wrong(f"it has format {data['format']!r:.20}, expected {FORMAT}")
        place = from_data(Environment, data["environment"])
        files = {str(f["name"]): (int(f["size"]), str(f["sha256"])) for f in data["files"]}
    except (ConfigError, KeyError, TypeError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise wrong(f"its {MANIFEST} is damaged") from error
    for name in files:
        if not _ENTRY.fullmatch(name):
            raise wrong(f"it holds {name!r:.80}, which is no program's file")
    return _Manifest(place, files)


def _content(archive: zipfile.ZipFile, name: str, size: int, sha256: str, path: Path) -> bytes:
    """One file of a pack, seen to be whole.

    Raises:
        InputError: if it is not.
    """
    with contextlib.suppress(KeyError, zipfile.BadZipFile):
        if archive.getinfo(name).file_size == size <= _MOST:
            with archive.open(name) as file:
                content = file.read(size)
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
    raise InputError(f"{path} is damaged: {name} is missing or not as recorded")
