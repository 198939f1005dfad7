"""Locates the entries of an uncompressed zip file; nothing is unpacked."""

import io
import struct
import zipfile

from importers.formats.mapped import MappedFile, SourceError

MAX_DIRECTORY = 1 << 24  # bytes; that of the published GPT has about 200,000
_LOCAL = struct.Struct("<4s4xH16xHH")  # magic, method, lengths of the name and the extra field
_UTF8 = 1 << 11  # flag bit of names in UTF-8 instead of the original zip encoding


class _Stream(io.RawIOBase):
    """The mapped file for `zipfile`, with a limit on the size that a damaged file claims."""

    def __init__(self, file: MappedFile):
        self.file, self.position = file, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + (0, self.position, self.file.size)[whence]
        if self.position < 0:
            raise OSError("before the beginning of the file")
        return self.position

    def read(self, size: int = -1) -> bytes:
        left = max(self.file.size - self.position, 0)
        size = left if size < 0 else min(size, left)
        if size > MAX_DIRECTORY:
            raise OSError(f"a directory of {size:,} bytes; {MAX_DIRECTORY:,} at most")
        self.position += size
        return bytes(self.file.view(self.position - size, size))


def entries(file: MappedFile) -> dict[str, zipfile.ZipInfo]:
    """The directory of a zip file, by name.

    Raises:
        SourceError: if it is damaged, repeats an entry, or has names that point outside the
            archive.
    """
    stream = _Stream(file)
    try:
        listed = zipfile.ZipFile(stream).infolist() if zipfile.is_zipfile(stream) else None
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise SourceError(f"{file.path}: damaged zip file ({error})") from error
    if listed is None:
        raise SourceError(
            f"{file.path}: a zip file without its directory: it is cut off "
            f"({file.size:,} bytes came); download it again"
        )
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in listed:
        name = entry.orig_filename
        parts = name.split("/")
        if ".." in parts or parts[0] == "" or "\\" in name or "\0" in name:
            raise SourceError(f"{file.path}: refused, an entry's path has ..: {name!r:.80}")
        if name in found:
            raise SourceError(f"{file.path}: damaged zip file (two entries {name!r:.80})")
        found[name] = entry
    return found


def locate(file: MappedFile, entry: zipfile.ZipInfo) -> int:
    """The offset of an entry's bytes.

    Raises:
        SourceError: if it is compressed, encrypted, or not where the directory says.
    """
    encrypted, name = entry.flag_bits & 1, entry.orig_filename
    if entry.compress_type or entry.compress_size != entry.file_size or encrypted:
        kind = "encrypted" if encrypted else "compressed"
        raise SourceError(
            f"{file.path}: refused, {name} is {kind}; PyTorch stores its entries uncompressed "
            "(load this one with torch.load and save it again with torch.save)"
        )
    head = file.view(entry.header_offset, _LOCAL.size)
    magic, method, name_size, extra_size = _LOCAL.unpack(head)
    start = entry.header_offset + _LOCAL.size + name_size
    held = bytes(file.view(start - name_size, name_size))
    expected = name.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")  # as zipfile decodes it
    if magic != b"PK\x03\x04" or method or held != expected:
        raise SourceError(f"{file.path}: damaged zip file ({name} is not where it should be)")
    start += extra_size
    if start + entry.file_size > file.size:
        raise SourceError(f"{file.path}: damaged zip file ({name} runs past the end)")
    return start
