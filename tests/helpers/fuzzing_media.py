"""Damage of recordings' headers and of texts, for `fuzzing`."""

import functools
import io
import random
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from indextts_jax.cli.text_flags import read_text
from indextts_jax.engine import segment_store
from indextts_jax.engine.parts import Part
from indextts_jax.engine.speech import Segment
from indextts_jax.errors import InputError
from indextts_jax.text.frontend import TextFrontend, TextSettings
from indextts_jax.text.tokenizer import Tokenizer

DATA = Path(__file__).parents[1] / "data"
SIZES = (0, 1, 4, 16, 44, 1000, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8, 2**63)
MARKS = (b"RIFF", b"RF64", b"data", b"fmt ", b"LIST", b"FORM", b"COMM", b"SSND", b".snd", b"fLaC")
MARKS += (b"OggS", b"ID3\x04", b"TAG", b"Xing", b"Info", b"caff", b"desc", b"ds64", b"\xff\xfb")


def short_recordings() -> Sequence[bytes]:
    """A quarter of a second and more, of every container."""
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.normal(size=(5000, 1))).astype(np.float32)
    kinds = [("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16")]
    kinds += [("AIFF", "PCM_16"), ("AU", "FLOAT"), ("CAF", "PCM_16"), ("FLAC", "PCM_16")]
    kinds += [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]
    made = []
    for container, subtype in kinds:
        stream = io.BytesIO()
        soundfile.write(stream, samples, 8000, subtype, format=container)
        made.append(stream.getvalue())
    return made


def headers_damaged(rng: random.Random, data: bytes) -> bytes:
    """Odd sizes after the marks of chunks; marks moved; files joined, cut off, or inside others."""
    held = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = [at for mark in MARKS for at in _places(held, mark)] or [0]
        at = rng.choice(places)
        size = struct.pack(rng.choice(("<I", ">I", "<Q", ">Q")), rng.choice(SIZES) % 2**32)
        match rng.randrange(7):
            case 0 | 1:
                held[at + 4 : at + 4 + len(size)] = size
            case 2:
                held[at : at + 4] = rng.choice(MARKS)[:4]
            case 3:
                held += bytes(
                    held[: len(held) if rng.random() < 0.5 else rng.randrange(len(held) + 1)]
                )
            case 4:
                del held[rng.randrange(len(held) + 1) :]
            case 5:
                other = rng.choice(MARKS) + size + rng.randbytes(rng.choice((0, 4, 40)))
                held[at:at] = other
            case _:
                held[at : at + 40] = rng.randbytes(40)
    return bytes(held)


def _places(data: bytearray, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0 and len(found) < 20:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


# Texts.

TEXT = (
    "It's 7:05 on 3/4/2024; call 555-0199. 他说：“3/5的人，39.9°C！” [pause 0.5s] $1,234.50 (50%)."
)
_SCRAPS = (
    "\0", "\x1b[31m", "\u202e", "\u200d", "\ufeff", "\ud800", "\U000f0000", "ς", "µ", "\u0345", "ϐ",
    "\u2028", "\r\n", "\n\n", "\t", "[pause", "[pause 9e9s]", "1" * 300, "9/" * 50, "((((",
    "http://",
    "&quot;", "00:00:01,000 --> 00:00:02,000", "<b>", "$$x^2$$", "ℵ", "½", "Ⅻ", "①", "℃", "…", "——",
    "😀", "👩‍👩‍👧", "é\u0301\u0301", "ﷺ", "-", "~", "#", "|", "\\", "'",
    '"', "。", "，", " ", ".", "A.B.",
)  # fmt: skip


def text_damaged(rng: random.Random, data: bytes) -> bytes:
    """A text with odd characters in it, parts of it repeated or cut out; or in another encoding."""
    text = data.decode()
    for _ in range(rng.randint(1, 6)):
        at, end = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0 | 1:
                text = text[:at] + rng.choice(_SCRAPS) * rng.choice((1, 1, 3)) + text[at:]
            case 2:
                text = text[:at] + text[at:end] * 2 + text[end:]
            case _:
                text = text[:at] + chr(rng.choice((rng.randrange(0x3000), rng.randrange(0x11000))))
    encoding = rng.choice(("utf-8",) * 9 + ("utf-16", "utf-32-le", "utf-8-sig"))
    return text.encode(encoding, "surrogatepass")


@functools.cache
def _frontend() -> TextFrontend:
    tokenizer = Tokenizer((DATA / "tiny/checkpoints/bpe.model").read_bytes())
    return TextFrontend(tokenizer, TextSettings())


def read_a_text(path: Path) -> None:
    """Reads a text file as a command does, up to its segments."""
    text = read_text(path)
    _frontend().prepare(text)


# Finished segments.


def segment_file(folder: Path) -> bytes:
    """A finished segment as it is kept."""
    store = segment_store.SegmentStore.open(folder, "key")
    samples = np.linspace(-1, 1, 50, dtype=np.float32)
    store.write(0, Part(samples, Segment(1, 2, 3, False), {"codes": 1.0}))
    data = (folder / "000000.safetensors").read_bytes()
    store.remove()
    return data


def read_a_segment(path: Path) -> None:
    """Reads a finished segment; one that is damaged counts as refused."""
    if segment_store._read(path) is None:
        raise InputError(f"{path} is damaged")
