"""The directory of an uncompressed zip file: where each entry's bytes lie. Nothing is unpacked.

The standard library's reader holds the whole directory in memory and gives no offsets of data.
"""

import dataclasses
import struct
from collections.abc import Iterator

from importers.formats.mapped import MappedFile, SourceError

MAX_ENTRIES = 1_000_000
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL32 = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of the archive, as its directory describes it."""

    name: str
    size: int
    packed: int
    method: int
    encrypted: bool
    header: int  # offset of the local header


def entries(file: MappedFile) -> dict[str, Entry]:
    """The directory of a zip file, by name.

    Raises:
        SourceError: if it is damaged, names an entry twice, or has names that leave the archive.
    """
    offset, size, count = _find_directory(file)
    if count > MAX_ENTRIES:
        raise SourceError(f"{file.path}: a zip file of {count:,} entries; {MAX_ENTRIES:,} at most")
    if count * _CENTRAL.size > size or offset + size > file.size:
        raise SourceError(f"{file.path}: damaged zip file (its directory lies outside the file)")
    found: dict[str, Entry] = {}
    for entry in _directory(file, offset, offset + size, count):
        parts = entry.name.split("/")
        if ".." in parts or parts[0] == "" or "\\" in entry.name or "\0" in entry.name:
            raise SourceError(f"{file.path}: refused, an entry's path climbs: {entry.name!r:.80}")
        if entry.name in found:
            raise SourceError(f"{file.path}: damaged zip file (two entries {entry.name!r:.80})")
        found[entry.name] = entry
    return found


def locate(file: MappedFile, entry: Entry) -> int:
    """The offset of an entry's bytes.

    Raises:
        SourceError: if it is compressed, encrypted, or not where the directory says.
    """
    if entry.method or entry.packed != entry.size or entry.encrypted:
        kind = "encrypted" if entry.encrypted else "compressed"
        raise SourceError(
            f"{file.path}: refused, {entry.name} is {kind}; PyTorch stores its files as they are "
            "(load this one with torch.load and save it again with torch.save)"
        )
    head = file.view(entry.header, _LOCAL.size)
    magic, _, _, method, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack(head)
    name = bytes(file.view(entry.header + _LOCAL.size, name_size))
    if magic != b"PK\x03\x04" or method or name != entry.name.encode("utf-8", "surrogateescape"):
        raise SourceError(f"{file.path}: damaged zip file ({entry.name} is not where it should be)")
    start = entry.header + _LOCAL.size + name_size + extra_size
    if start + entry.size > file.size:
        raise SourceError(f"{file.path}: damaged zip file ({entry.name} runs past the end)")
    return start


def _find_directory(file: MappedFile) -> tuple[int, int, int]:
    """Offset, size and number of entries of the central directory."""
    tail = min(file.size, _END.size + 0xFFFF)
    start = bytes(file.view(file.size - tail, tail)).rfind(b"PK\x05\x06")
    if start < 0 or start + _END.size > tail:
        raise SourceError(
            f"{file.path}: a zip file without its directory: it is cut off "
            f"({file.size:,} bytes came); download it again"
        )
    start += file.size - tail
    _, _, _, _, count, size, offset, _ = _END.unpack(file.view(start, _END.size))
    if start >= _END64_LOCATOR.size:
        locator = file.view(start - _END64_LOCATOR.size, _END64_LOCATOR.size)
        magic, _, end64, _ = _END64_LOCATOR.unpack(locator)
        if magic == b"PK\x06\x07":
            fields = _END64.unpack(file.view(end64, _END64.size))
            if fields[0] != b"PK\x06\x06":
                raise SourceError(f"{file.path}: damaged zip file (its directory is not found)")
            _, _, _, _, _, _, _, count, size, offset = fields
    return offset, size, count


def _directory(file: MappedFile, offset: int, end: int, count: int) -> Iterator[Entry]:
    for _ in range(count):
        if offset + _CENTRAL.size > end:
            raise SourceError(f"{file.path}: damaged zip file (its directory is too short)")
        fields = _CENTRAL.unpack(file.view(offset, _CENTRAL.size))
        magic, _, _, flags, method, _, _, _, packed, size, name_size, extra_size, note_size = (
            fields[:13]
        )
        if magic != b"PK\x01\x02":
            raise SourceError(f"{file.path}: damaged zip file (no entry at {offset:,})")
        offset += _CENTRAL.size
        name = bytes(file.view(offset, name_size)).decode("utf-8", "surrogateescape")
        extra = bytes(file.view(offset + name_size, extra_size))
        wide = iter(_wide_numbers(extra))
        try:
            size, packed, header = (
                next(wide) if n == _FULL32 else n for n in (size, packed, fields[16])
            )
        except (StopIteration, RuntimeError) as error:
            raise SourceError(f"{file.path}: damaged zip file (no size of {name!r:.80})") from error
        yield Entry(name, size, packed, method, bool(flags & 1), header)
        offset += name_size + extra_size + note_size


def _wide_numbers(extra: bytes) -> tuple[int, ...]:
    """The 64-bit numbers of an entry's extra field."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 1:
            body = extra[4 : 4 + size]
            return struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8])
        extra = extra[4 + size :]
    return ()
