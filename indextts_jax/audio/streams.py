"""Where the sound is in a file: its parts, and what its header says about their length.

libsndfile trusts headers: it stops at a wrong length, and after the first of several recordings in
one file. `find_links` looks at the file itself, so that it is read to its end.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

Bytes = bytes | memoryview
CUT_OFF = "it is cut off"  # how notes about lost sound begin


class Link(NamedTuple):
    """One recording in a file, as pieces of bytes that are read one after the other."""

    pieces: Sequence[Bytes]
    stated: float | None = None  # seconds that the header states, if the file holds less or more
    held: float | None = None  # seconds that the file holds, if that is known
    unknown: bool = False  # the header states no length: read to the end


class Found(NamedTuple):
    """The recordings of a file, and clauses about its problems."""

    links: Sequence[Link]
    notes: Sequence[str] = ()


def find_links(data: memoryview) -> Found:
    """The recordings in a file; one link that is the whole file, where nothing is known."""
    head = bytes(data[:4])
    for mark, find in _FINDERS.items():
        if head == mark:
            return find(data)
    if head[:3] == b"ID3" or _frame(data, 0) is not None:
        return _mp3(data)
    return Found([Link([data])])


# WAV, AIFF and AU: chunks with sizes, which recorders and pipes leave at zero or at a maximum.

_UNSET = 0x7FFFF000  # sizes from here on stand for an unknown length
_CHUNKS = (
    b"LIST fact cue  smpl bext id3  ID3  JUNK junk PAD  iXML _PMX inst plst PEAK cart acid FLLR "
    b"afsp MARK COMT NAME AUTH ANNO APPL INST MIDI (c)  data fmt "
)  # names of chunks, of four bytes each, and a space


def _wav(data: memoryview) -> Found:
    links, start = [], 0
    while start < len(data):
        if bytes(data[start : start + 4]) != b"RIFF" or len(data) - start < 12:
            break
        link, start = _riff(data, start)
        links.append(link)
    return Found(links or [Link([data])])


def _riff(data: memoryview, start: int) -> tuple[Link, int]:
    """One RIFF file and where it ends."""
    place, rate = start + 12, 0
    while place + 8 <= len(data):
        name, size = bytes(data[place : place + 4]), _le(data, place + 4)
        body, rest = place + 8, len(data) - place - 8
        if name == b"fmt " and rest >= 16:
            rate = _le(data, body + 8)  # bytes for a second
        if name != b"data":
            place = body + size + size % 2
            continue
        return _sound(data, start, place + 4, size, rate)
    return Link([data[start:]]), len(data)


def _sound(data: memoryview, start: int, field: int, size: int, rate: int) -> tuple[Link, int]:
    """The link whose `data` chunk has its size at `field`, and where it ends."""
    body = field + 4
    rest = len(data) - body
    after = body + size + size % 2

    def whole() -> list[Bytes]:
        """With the size that the file has."""
        return [data[start:field], struct.pack("<I", min(rest, 0xFFFFFFFE)), data[body:]]

    if size == 0 and rest > 8 and not _another(data, after):
        return Link(whole()), len(data)
    if size > rest:
        seconds = (size / rate, rest / rate) if rate and size < _UNSET else (None, None)
        return Link([data[start:]], *seconds), len(data)
    while after + 8 <= len(data) and _another(data, after):
        if bytes(data[after : after + 4]) == b"RIFF":
            return Link([data[start:after]]), after
        after += 8 + _le(data, after + 4)
        after += after % 2 if (after - start) % 2 else 0
    if len(data) - after > rest // 100 and after == body + size + size % 2 and rate:
        return Link(whole(), size / rate, rest / rate), len(data)  # no chunk: more sound
    return Link([data[start:]]), len(data)


def _another(data: memoryview, place: int) -> bool:
    name = bytes(data[place : place + 4])
    return name == b"RIFF" or (_CHUNKS.find(name) % 5 == 0 and len(name) == 4)


def _aiff(data: memoryview) -> Found:
    links: list[Link] = []
    start = 0
    while start + 12 <= len(data) and bytes(data[start : start + 4]) == b"FORM":
        end = start + 8 + _be(data, start + 4)
        end += end % 2 if (end - start) % 2 else 0
        another = end >= start + 12 and bytes(data[end : end + 4]) == b"FORM"
        stop = end if another else len(data)
        if not another and (whole := _aiff_of_pipe(data[start:])) is not None:
            return Found([*links, Link(whole)])
        links.append(Link([data[start:stop]], *_aiff_lengths(data[start:stop])))
        start = stop
    return Found(links or [Link([data])])


def _aiff_of_pipe(data: memoryview) -> list[Bytes] | None:
    """The pieces of a file whose sizes are zero or at a maximum, with those that it has."""
    place, common = 12, 0
    while place + 8 <= len(data):
        name, size = bytes(data[place : place + 4]), _be(data, place + 4)
        rest = len(data) - place - 8
        if name == b"COMM" and size >= 18:
            common = place
        if name == b"SSND":
            unset = size <= 8 or size >= _UNSET
            if not common or not unset or rest <= 16 or _another(data, place + 8 + size):
                return None
            channels, _, bits = struct.unpack_from(">hIh", data, common + 8)
            width = max(channels * -(-bits // 8), 1)
            frames = struct.pack(">I", (rest - 8) // width)
            held = struct.pack(">I", rest)
            form = struct.pack(">I", len(data) - 8)
            return [
                *(data[:4], form, data[8 : common + 10], frames, data[common + 14 : place + 4]),
                *(held, data[place + 8 :]),
            ]
        if not size:
            return None
        place += 8 + size + size % 2
    return None


def _aiff_lengths(data: memoryview) -> tuple[float | None, float | None]:
    """Seconds that the header states, and that there are; None if they agree."""
    place, frames, width, rate = 12, 0, 0, 0.0
    while place + 8 <= len(data):
        name, size = bytes(data[place : place + 4]), _be(data, place + 4)
        if name == b"COMM" and place + 26 <= len(data):
            channels, frames, bits = struct.unpack_from(">hIh", data, place + 8)
            exponent, mantissa = struct.unpack_from(">hQ", data, place + 16)
            rate = mantissa * 2.0 ** (exponent - 16446) if 16383 <= exponent < 16447 else 0.0
            width = channels * -(-bits // 8)
        if name == b"SSND" and width > 0 and rate > 0 and size > len(data) - place - 8:
            return frames / rate, max(len(data) - place - 16, 0) / width / rate
        place += 8 + size + size % 2
    return None, None


_AU_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # bytes of a sample by encoding


def _au(data: memoryview) -> Found:
    links: list[Link] = []
    start = 0
    while start + 24 <= len(data) and bytes(data[start : start + 4]) == b".snd":
        offset, size, kind, rate, channels = struct.unpack_from(">IIIII", data, start + 4)
        body = start + offset
        end = body + size
        another = end >= start + 24 and bytes(data[end : end + 4]) == b".snd"
        stop = end if another else len(data)
        stated = held = None
        unset = size == 0 or size >= _UNSET > len(data)
        if unset and len(data) > body + 8 and body >= start + 24 and not another:
            whole: list[Bytes] = [data[start : start + 8], b"\xff" * 4, data[start + 12 :]]
            return Found([*links, Link(whole)])  # of a pipe
        second = _AU_WIDTHS.get(kind, 0) * rate * channels
        if second and size < _UNSET and end > len(data):
            stated, held = size / second, max(len(data) - body, 0) / second
        links.append(Link([data[start:stop]], stated, held))
        start = stop
    return Found(links or [Link([data])])


# RF64, Wave64 and CAF: sizes of eight bytes.


def _rf64_size(data: memoryview) -> int:
    """The size of the file that begins here, in bytes; 0 if it is not stated."""
    known = bytes(data[:4]) == b"RF64" and bytes(data[12:16]) == b"ds64"
    return int.from_bytes(data[20:28], "little") + 8 if known else 0


def _rf64_of_pipe(data: memoryview) -> list[Bytes]:
    """The pieces of a file without sizes, with those that it has."""
    body = bytes(data[:4096]).find(b"data") + 8
    if body < 48 or bytes(data[12:16]) != b"ds64":
        return [data]
    sizes = struct.pack("<QQ", len(data) - 8, len(data) - body)
    return [data[:20], sizes, bytes(8), data[44:]]


def _w64_size(data: memoryview) -> int:
    return int.from_bytes(data[16:24], "little") if bytes(data[:4]) == b"riff" else 0


def _sized(data: memoryview, size_of: Callable[[memoryview], int]) -> Found:
    """Files that state their size in bytes, one after the other."""
    links: list[Link] = []
    size = size_of(data)
    while 0 < size < len(data) and size_of(data[size:]):
        links.append(Link([data[:size]]))
        data = data[size:]
        size = size_of(data)
    links.append(Link([data]))
    if size_of is _rf64_size and (size < 64 or size >= _UNSET > len(data)):
        links[-1] = Link(_rf64_of_pipe(data))
    elif len(data) < size < _UNSET or _UNSET < len(data) < size < 2**60:
        note = f"it is cut off: its header states {size:,} bytes, the file has {len(data):,}"
        return Found(links, [note])
    return Found(links)


def _caf(data: memoryview) -> Found:
    links: list[Link] = []
    notes = []
    start, place = 0, 8
    while place + 12 <= len(data):
        if bytes(data[place : place + 4]) == b"caff":
            links.append(Link([data[start:place]]))
            start, place = place, place + 8
            continue
        size = int.from_bytes(data[place + 4 : place + 12], "big", signed=True)
        rest = len(data) - place - 12
        if bytes(data[place : place + 4]) == b"data" and (size < 0 or size > rest):
            if size > rest:
                notes.append(f"it is cut off: its header states {size:,} bytes, {rest:,} are left")
            whole = rest.to_bytes(8, "big")
            links.append(Link([data[start : place + 4], whole, data[place + 12 :]]))
            return Found(links, notes)
        if size < 0:
            break
        place += 12 + size
    return Found([*links, Link([data[start:]])], notes)


# FLAC and Ogg: streams of frames and pages.


def _flac(data: memoryview) -> Found:
    """Joined FLAC files; a total of zero samples means that the length is unknown."""
    mark = b"fLaC\x00\x00\x00\x22"
    starts = list(_all(data, mark)) or [0]
    links = []
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        total = int.from_bytes(data[start + 21 : start + 26], "big") & (2**36 - 1)
        links.append(Link([data[start:end]], unknown=not total))
    return Found(links)


def _all(data: memoryview, mark: bytes) -> Iterator[int]:
    """The places of a mark."""
    block, place = 2**24, 0
    while place < len(data):
        piece = bytes(data[place : place + block + len(mark) - 1])
        at = piece.find(mark)
        while at >= 0:
            yield place + at
            at = piece.find(mark, at + 1)
        place += block


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_sum(page: bytes) -> int:
    """Ogg's checksum, by zlib's, which reads the bits of each byte in the other order."""
    swapped = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{swapped:032b}"[::-1], 2)


def _ogg(data: memoryview) -> Found:
    """Chained Ogg streams, damaged pages, and an end that is missing."""
    starts, place, pages, damaged, ended, begins = [0], 0, 0, 0, False, True
    while place < len(data):
        if bytes(data[place : place + 4]) != b"OggS" or len(data) - place < 27:
            following = next(_all(data[place + 1 :], b"OggS"), None)
            if following is None:
                break
            place += 1 + following
            continue
        count = data[place + 26]
        size = 27 + count + sum(data[place + 27 : place + 27 + count])
        page = bytearray(data[place : place + size])
        if len(page) < size:
            ended = False
            break
        said = int.from_bytes(page[22:26], "little")
        page[22:26] = bytes(4)
        pages, damaged = pages + 1, damaged + (_ogg_sum(bytes(page)) != said)
        first = bool(page[5] & 2)
        if first and not begins:
            starts.append(place)
        begins, ended = first, bool(page[5] & 4)
        place += size
    notes = []
    if damaged:
        notes.append(f"it is damaged: {damaged} of its {pages} pages cannot be trusted")
    if not ended:
        notes.append("it is cut off: its stream has no end")
    pairs = zip(starts, [*starts[1:], len(data)], strict=True)
    return Found([Link([data[start:end]]) for start, end in pairs], notes)


# MP3: frames, each with a header of its own; the length is in the first one, if at all.


class Frame(NamedTuple):
    """The header of an MP3 frame."""

    size: int  # bytes
    kind: int  # version and rate, which all frames of a file share
    samples: int
    rate: int  # Hz
    tag: int  # place of the tag with the number of frames, in the first frame


_BITRATES = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # kbit/s of layer III, by whether it is version 1
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KIND = 0xFFFE0C00  # bits of a header that all frames share


def _frame(data: Bytes, place: int) -> Frame | None:
    """The frame at a place, if there is one of layer III with a known bit rate."""
    if place + 4 > len(data) or data[place] != 0xFF or data[place + 1] & 0xE6 != 0xE2:
        return None
    header = _be(data, place)
    version, bits, rate = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    if version == 1 or not 1 <= bits <= 14 or rate == 3:
        return None
    hertz, first = _RATES[version][rate], version == 3
    kbits = _BITRATES[first][bits - 1]
    size = (144 if first else 72) * kbits * 1000 // hertz + (header >> 9 & 1)
    single = header >> 6 & 3 == 3
    tag = 4 + ((17 if single else 32) if first else (9 if single else 17))
    return Frame(size, header & _KIND, 1152 if first else 576, hertz, tag)


def _id3(data: memoryview, place: int) -> int:
    """Where an ID3 tag at a place ends."""
    if bytes(data[place : place + 3]) != b"ID3" or place + 10 > len(data):
        return place
    size = 0
    for byte in data[place + 6 : place + 10]:
        size = size << 7 | byte & 127
    return place + 10 + size + (10 if data[place + 5] & 16 else 0)


def _mp3(data: memoryview) -> Found:
    """An MP3 file without what is between its frames, with the number of frames that it has."""
    place, count, skipped, kind = 0, 0, 0, -1
    pieces: list[tuple[int, int]] = []
    first: Frame | None = None
    stated, short = None, False
    end = len(data) - (128 if bytes(data[-128:-125]) == b"TAG" else 0)
    while place < end:
        if (after := _id3(data, place)) != place:
            place = after
            continue
        frame = _frame(data, place)
        known = frame is not None and frame.kind == kind
        if frame is None or not (known or _follows(data, place + frame.size, frame, end)):
            if bytes(data[place : place + 8]) == b"APETAGEX":
                break
            following = _next_frame(data, place + 1, end)
            skipped += following - place if count and following < end else 0
            place = following
            continue
        if first is None:
            first, kind = frame, frame.kind
        elif not known:
            return Found([Link([data])])  # frames of several kinds: as libsndfile reads it
        short = place + frame.size > end
        if short:
            break
        mark = bytes(data[place + frame.tag : place + frame.tag + 4])
        if mark in (b"Xing", b"Info") and place + frame.tag + 12 <= end:
            if not count and stated is None and data[place + frame.tag + 7] & 1:
                stated = _be(data, place + frame.tag + 8)
                pieces.append((place, place + frame.size))
            place += frame.size
            continue
        count += 1
        if pieces and pieces[-1][1] == place:
            pieces[-1] = (pieces[-1][0], place + frame.size)
        else:
            pieces.append((place, place + frame.size))
        place += frame.size
    if first is None or not pieces:
        return Found([Link([data])])
    seconds = first.samples / first.rate
    notes = []
    if skipped:
        notes.append(f"it is damaged: {skipped:,} bytes between its frames are not sound")
    views: list[Bytes] = [data[a:b] for a, b in pieces]
    if stated is not None and stated > count and not skipped:
        return Found([Link(views, stated * seconds, count * seconds)], notes)
    if stated is None or stated < count:
        if stated is not None:
            a, b = pieces[0]
            views[0] = data[a + _frame_at(data, a).size : b]
        views.insert(0, _tagged(data, pieces[0][0], count))
    if short and stated is None:
        notes.append(f"it is cut off, after {count * seconds:.2f} s")
    return Found([Link(views)], notes)


def _frame_at(data: memoryview, place: int) -> Frame:
    frame = _frame(data, place)
    assert frame is not None
    return frame


def _follows(data: memoryview, place: int, frame: Frame, end: int) -> bool:
    """Whether another frame of this kind begins at a place, or the file ends there."""
    following = _frame(data, place)
    return place >= end if following is None else following.kind == frame.kind


def _next_frame(data: memoryview, place: int, end: int) -> int:
    """The place of the next frame that another one follows, or the end."""
    while place < end:
        at = bytes(data[place : place + 2**16]).find(b"\xff")
        if at < 0:
            place += 2**16
            continue
        place += at
        frame = _frame(data, place)
        if frame is not None and _follows(data, place + frame.size, frame, end):
            return place
        if bytes(data[place : place + 3]) == b"ID3":
            return place
        place += 1
    return end


def _tagged(data: memoryview, place: int, count: int) -> bytes:
    """A first frame of the same kind that states the number of frames; it holds no sound."""
    header = _be(data, place) & ~0xF200 | 0x9000  # a bit rate whose frame is large enough
    head = struct.pack(">I", header | 0x10000)  # without a checksum
    frame = _frame(head, 0)
    assert frame is not None
    tag = b"Info" + struct.pack(">II", 1, count)
    return (head + bytes(frame.tag - 4) + tag).ljust(frame.size, b"\0")


def _le(data: Bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "little")


def _be(data: Bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")


_FINDERS: dict[bytes, Callable[[memoryview], Found]] = {
    b"RIFF": _wav,
    b"FORM": _aiff,
    b".snd": _au,
    b"RF64": lambda data: _sized(data, _rf64_size),
    b"riff": lambda data: _sized(data, _w64_size),
    b"caff": _caf,
    b"fLaC": _flac,
    b"OggS": _ogg,
}
