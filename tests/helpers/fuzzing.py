"""Damaged inputs for the readers of files, drawn at random, and what a reader may do with them.

A reader may read, or refuse with one line. It may not crash, hang, run anything, or take more
memory than there is. `tools/check/fuzz.py` runs the same for minutes.
"""

import dataclasses
import functools
import importlib.util
import io
import json
import pickletools
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fuzzing_media
import numpy as np
import safetensors.numpy
import soundfile
import torch_files
import yaml
from torch_files import Call, Global

from importers.formats.tensors import open_tensors
from importers.release.settings import read_published, read_settings
from indextts_jax.audio import output
from indextts_jax.audio.io import load_audio
from indextts_jax.audio.quality import excerpt_of
from indextts_jax.checkpoint import provenance
from indextts_jax.config import load_config
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine import recipe
from indextts_jax.engine.settings import Settings
from indextts_jax.errors import InputError
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils import hashing, strict_data
from indextts_jax.voices import store

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 5)).astype(np.float32)
B = RNG.normal(size=(7,)).astype(np.float32)
VALUE = {
    "net": {"a": A, "b": {"c": B}, "p": Call(Global("collections", "OrderedDict"), ([],), {})},
    "optimizer": {"s": Call(Global("posix", "system"), ("touch ran",)), "t": [1, 2**40, None]},
    "i": 1.5,
}
DATA = Path(__file__).parents[1] / "data" / "tiny"
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)


class Reader(NamedTuple):
    """A reader of one kind of file, sound files of it, and ways to damage them."""

    ending: str
    sound: Callable[[], Sequence[bytes]]
    damage: Callable[[random.Random, bytes], bytes]
    read: Callable[[Path], object]


# Any bytes.


def bytes_changed(rng: random.Random, data: bytes) -> bytes:
    """Some bytes set, cut out, doubled, or cut off; some numbers written over them."""
    held = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 6))):
        if not held:
            break
        at = rng.randrange(len(held))
        if rng.random() < 0.5:
            at = rng.randrange(min(len(held), 120))  # headers are at the beginning
        end = min(len(held), at + rng.choice((1, 2, 4, 8, 40, 1000)))
        match rng.randrange(6):
            case 0 | 1:
                held[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                number = struct.pack("<Q", rng.choice(NUMBERS))[: rng.choice((2, 4, 8))]
                held[at : at + len(number)] = number
            case 3:
                del held[at:end]
            case 4:
                held[at:at] = held[at:end] * rng.choice((1, 2, 50))
            case 5:
                del held[at:]
    return bytes(held)


# PyTorch's archives.

# Where the fields of a local header, a directory entry and the directory's end begin.
_HEADERS = {
    b"PK\x03\x04": (4, 6, 8, 14, 18, 22, 26, 28),
    b"PK\x01\x02": (8, 10, 16, 20, 24, 28, 30, 32, 34, 42),
    b"PK\x05\x06": (4, 6, 8, 10, 12, 16, 20),
}


def archive() -> bytes:
    """A sound file of PyTorch's form."""
    pickler_entries: dict[str, bytes] = {}
    return packed(VALUE, pickler_entries.update)


def packed(value: Any, change: Callable[[dict[str, bytes]], object], compression: int = 0) -> bytes:
    """A file of PyTorch's form, in memory."""
    stream = io.BytesIO()
    torch_files.save(stream, value, change=change, compression=compression)  # type: ignore[arg-type]
    return stream.getvalue()


def archive_damaged(rng: random.Random, data: bytes) -> bytes:
    """Fields of the zip's headers changed, a 64-bit end added, entries packed; or any bytes."""
    held = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.randrange(8)
        magic = rng.choice(list(_HEADERS))
        places = [i for i in range(len(held) - 50) if held[i : i + 4] == magic]
        if kind < 5 and places:
            at = rng.choice(places) + rng.choice(_HEADERS[magic])
            number = rng.choice((*NUMBERS, len(held), len(held) - 1, rng.randrange(len(held))))
            size = rng.choice((2, 4))
            held[at : at + size] = struct.pack("<Q", number)[:size]
        elif kind == 5:
            fields = [rng.choice((*NUMBERS, len(held) // 2, 7)) for _ in range(4)]
            end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *fields)
            locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(held), 1)
            at = held.rfind(b"PK\x05\x06")
            held[at:at] = end64 + locator
            struct.pack_into("<Q", held, at + len(end64) + 8, at)
        elif kind == 6:
            names = rng.choice((b"../data.pkl", b"/rchive/data", b"archive/data.pkl"))
            held = bytearray(bytes(held).replace(b"archive/dat", names[:11]))
        else:
            return bytes_changed(rng, bytes(held))
    return bytes(held)


# Pickles.

_NAMES = (
    "torch._utils\n_rebuild_tensor_v2",
    "torch._utils\n_rebuild_tensor_v3",
    "torch._utils\n_rebuild_tensor",
    "torch._utils\n_rebuild_parameter",
    "torch._utils\n_rebuild_parameter_with_state",
    "torch._tensor\n_rebuild_from_type_v2",
    "torch.nn.parameter\nParameter",
    "torch\nTensor",
    "torch\nSize",
    "torch\nFloatStorage",
    "torch\nfloat32",
    "torch.storage\nUntypedStorage",
    "collections\nOrderedDict",
    "collections\nCounter",
    "posix\nsystem",
    "builtins\neval",
)


def opcode(rng: random.Random) -> bytes:
    """One opcode with an argument, of all that Python's pickles have."""
    index = bytes([rng.randrange(12)])
    number = rng.choice(NUMBERS)
    match rng.randrange(14):
        case 0:
            return f"c{rng.choice(_NAMES)}\n".encode()
        case 1:
            return rng.choice((b"R", b"\x81", b"b", b"Q", b"o", b"\x92", b"i__main__\nx\n"))
        case 2:
            return rng.choice((b"h", b"q")) + index
        case 3:
            return rng.choice((b"j", b"r")) + struct.pack("<I", rng.choice((0, 3, number % 2**32)))
        case 4:
            return rng.choice((b"(", b"]", b"}", b")", b"\x8f")) * rng.choice((1, 1, 1, 2000))
        case 5:
            return rng.choice((b"t", b"e", b"u", b"a", b"s", b"\x85", b"\x86", b"\x87", b"l", b"d"))
        case 6:
            return b"J" + struct.pack("<i", rng.choice((0, 1, 5, -1, 2**31 - 1)))
        case 7:
            length = rng.choice((0, 1, 8, 255))
            return b"\x8a" + bytes([length]) + rng.randbytes(length)
        case 8:
            length = rng.choice((0, 8, 5000, 2**31 - 1))
            return b"\x8b" + struct.pack("<i", length) + b"\xff" * min(length, 5000)
        case 9:
            word = rng.choice(("storage", "0", "cpu", "net", "a" * 5000, "\ud800"))
            data = word.encode("utf-8", "surrogatepass")
            length = rng.choice((len(data), len(data), len(data), number % 2**32))
            return b"X" + struct.pack("<I", length) + data
        case 10:
            return rng.choice((b"N", b"\x88", b"\x89", b"K\x05", b"M\xff\xff", b"G" + b"\x7f" * 8))
        case 11:
            return rng.choice((b"0", b"1", b"2", b"\x94", b"\x95" + b"\xff" * 8, b"\x93", b"."))
        case 12:
            return rng.choice(
                (b"\x80\x02", b"\x80\x05", b"S'x'\n", b"I9\n", b"V\\u0041\n", b"P0\n")
            )
        case _:
            return bytes([rng.randrange(256)])


def opcodes(pickle: bytes) -> list[bytes]:
    """The opcodes of a pickle, each with its argument."""
    places = [place for _, _, place in pickletools.genops(pickle) if place is not None]
    return [pickle[a:b] for a, b in zip(places, [*places[1:], len(pickle)], strict=True)]


@functools.lru_cache(maxsize=8)
def _opcodes(pickle: bytes) -> tuple[bytes, ...]:
    return tuple(opcodes(pickle))


def pickle_damaged(rng: random.Random, pickle: bytes) -> bytes:
    """Opcodes put in, cut out, exchanged and repeated; or nothing but random ones."""
    if rng.random() < 0.2:
        return b"\x80\x02" + b"".join(opcode(rng) for _ in range(rng.randint(1, 40))) + b"."
    parts = list(_opcodes(pickle))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 6))):
        at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        match rng.randrange(6):
            case 0:
                parts[at:at] = [opcode(rng) for _ in range(rng.randint(1, 4))]
            case 1:
                parts[at] = opcode(rng)
            case 2 if len(parts) > 1:
                del parts[at]
            case 3:
                parts[at], parts[other] = parts[other], parts[at]
            case 4:
                parts[at:at] = parts[at : at + rng.randint(1, 9)] * rng.choice((1, 2, 300))
            case _:
                parts[at] = bytes_changed(rng, parts[at])
    return b"".join(parts)


def _archive_of_pickle(rng: random.Random, pickle: bytes) -> bytes:
    damaged = pickle_damaged(rng, pickle)
    return packed(VALUE, lambda entries: entries.update({"archive/data.pkl": damaged}))


# Headers and settings in JSON and YAML.


def odd_value(rng: random.Random) -> Any:
    """A value that no header should have."""
    nested: Any = []
    for _ in range(rng.choice((1, 50, 900))):
        nested = [nested]
    return rng.choice(
        (None, True, -1, 0, 2**48, 2**63, 2**64, 1e308, float("inf"), float("nan"), 1.5, "", "x",
         "F64", "U8", "I64", "BF16", [], {}, nested, [2**40, 2**40], [0], [-1, 4], "\ud800",
         10**4000, {"": 1}, "a" * 3000)
    )  # fmt: skip


def _changed(rng: random.Random, node: Any) -> None:
    """Changes one value, or one name, somewhere in nested data."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.8:
            node = node[key]
            continue
        match rng.randrange(4) if isinstance(node, dict) else 0:
            case 0 | 1:
                node[key] = odd_value(rng)
            case 2:
                node[rng.choice(("", "x", "a.b", "__metadata__", "a" * 2000))] = node.pop(key)
            case 3:
                del node[key]
        return


def header_damaged(rng: random.Random, data: bytes) -> bytes:
    """A header of safetensors that lies; or any bytes."""
    if rng.random() < 0.3:
        return bytes_changed(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    for _ in range(rng.randint(1, 3)):
        _changed(rng, header)
    text = _json(header)
    said = rng.choice((len(text),) * 9 + NUMBERS)
    return struct.pack("<Q", said) + text + data[8 + size :]


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except ValueError:  # a number of too many digits for Python to write
        return b'{"a": ' + b"9" * 5000 + b"}"


def json_damaged(rng: random.Random, data: bytes) -> bytes:
    """Settings with an odd value or key; or any bytes."""
    if rng.random() < 0.3:
        return bytes_changed(rng, data)
    value = json.loads(data)
    for _ in range(rng.randint(1, 3)):
        _changed(rng, value)
    return _json(value)


_SCRAPS = (
    "!!timestamp x", "!!int ''", "!!int x", "!!float x", "!!bool x", "!!binary x", "!!omap [1]",
    "!!pairs [1]", "!!set [1]", "!!map [1]", "!!seq {a: 1}", "!!str [1]", "!!null [1]",
    "!!python/object/apply:os.system ['touch ran']", "!!python/name:os.system", "!x y", "*a",
    "&a [*a]", "&a x", "2001-99-99", "2001-01-01", "1:2:3", "0x", "0b2", "1e999", ".inf", ".nan",
    "-.inf", "1_0", "9" * 5000, "{[1]: 2}", "{{}: 1}", "? [a]", "<<: [1]", "<<: {a: 1}", "|", ">-",
    "'", '"', "\\", "%YAML 9.9", "---", "...", "\t", "\0", "\ufeff", "[" * 400,
    "{a: " * 300, "- " * 300, "=", "~", "None", "yes", "[]", "{}", "'x'", "@", "`", "#",
)  # fmt: skip


def yaml_damaged(rng: random.Random, data: bytes) -> bytes:
    """Settings with odd scraps of YAML in them; or any bytes."""
    if rng.random() < 0.2:
        return bytes_changed(rng, data)
    if rng.random() < 0.2:
        value = yaml.safe_load(data)
        _changed(rng, value)
        return _json(value)  # JSON is YAML
    lines = data.decode().split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        key, colon, _ = lines[at].partition(":")
        match rng.randrange(4):
            case 0 | 1:
                lines[at] = f"{key}{colon or ':'} {rng.choice(_SCRAPS)}"
            case 2:
                lines.insert(at, rng.choice(("", "  ", key + ": ")) + rng.choice(_SCRAPS))
            case _:
                lines[at] = " " * rng.randrange(5) + lines[at].strip()
    return "\n".join(lines).encode()


# Recordings.


@functools.cache
def recordings() -> tuple[bytes, ...]:
    """Short recordings of every container that is read."""
    samples = (0.1 * RNG.normal(size=(6000, 2))).astype(np.float32)
    kinds = [("WAV", s) for s in ("PCM_16", "PCM_24", "FLOAT", "ALAW", "IMA_ADPCM", "MS_ADPCM")]
    kinds += [("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16")]
    kinds += [("AU", "PCM_16"), ("CAF", "ALAC_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]
    kinds += [("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_U8")]
    made = []
    for container, subtype in kinds:
        stream = io.BytesIO()
        soundfile.write(stream, samples, 8000, subtype, format=container)
        made.append(stream.getvalue())
    return tuple(made)


# What this program keeps: voices, and recipes in outputs.


def voice_file() -> bytes:
    """A sound voice of no model in particular."""
    shapes = {
        "latents": (1, 3, 5), "base": (1, 5), "own": (1, 5), "style": (1, 2), "mel": (1, 7, 3),
        "quantized": (1, 4, 5),
    }  # fmt: skip
    arrays = {k: RNG.normal(size=shape).astype(np.float32) for k, shape in shapes.items()}
    record = store.VoiceRecord(
        format=store.FORMAT,
        created="2024",
        source=hashing.FileHash(name="a.wav", size=1, sha256="0" * 64),
        heard=15.0,
        checkpoint="1" * 64,
        digest="",
        version="2.0",
    )
    record = dataclasses.replace(record, digest=store.digest_of(arrays, record))
    return store.packed(arrays, record)


def voice_damaged(rng: random.Random, data: bytes) -> bytes:
    """A record with an odd value, arrays of another kind with the digest of them; or any bytes."""
    if rng.random() < 0.4:
        return header_damaged(rng, data)
    arrays: dict[str, Any] = safetensors.numpy.load(data)
    size = struct.unpack("<Q", data[:8])[0]
    record = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["indextts_jax_voice"])
    if rng.random() < 0.5:
        name = rng.choice(sorted(arrays))
        shape = rng.choice(((), (0,), (1, 0, 3), (2, 5), (1, 2, 3, 4), (1, 1)))
        kind = rng.choice((np.float32, np.float64, np.int8, np.uint64))
        arrays[name] = np.full(shape, rng.choice((0, 1, 100)), kind)
        if rng.random() < 0.2:
            del arrays[name]
        held = strict_data.from_data(store.VoiceRecord, record)
        record["digest"] = store.digest_of(arrays, held)
    else:
        _changed(rng, record)
    return safetensors.numpy.save(arrays, {"indextts_jax_voice": _json(record).decode()})


MARK = "indextts_jax "  # before a recipe


@functools.cache
def outputs() -> tuple[bytes, ...]:
    """Outputs of every container with a recipe."""
    settings = Settings(glossary=Glossary.of({"C++": {"zh": "C加加", "en": "C plus plus"}}))
    file = hashing.FileHash(name="a.wav", size=1, sha256="0" * 64)
    made = recipe.Recipe(
        format=recipe.FORMAT,
        created="2024",
        versions=(hashing.Version(package="jax", version="1"),),
        device="CPU",
        checkpoint="1" * 64,
        dtype=None,
        samples="2" * 64,
        text="A.",
        speaker=file,
        emotion=Emotion(),
        seed=1,
        settings=settings,
    )
    return tuple(_output(kind, recipe.to_comment(made)) for kind in output.ENCODINGS.values())


def _output(kind: output.Encoding, comment: str) -> bytes:
    samples = np.zeros(600, np.float32)
    return output.encode(samples, 22050, kind.container, kind.subtypes[0], comment)


def output_damaged(rng: random.Random, data: bytes) -> bytes:
    """An output with an odd recipe; or any bytes changed."""
    if rng.random() < 0.5:
        return bytes_changed(rng, data)
    comment = recipe.to_comment(recipe.from_comment(output.read_comment_of(data), "a"))
    value = json.loads(comment.removeprefix(MARK))
    for _ in range(rng.randint(1, 3)):
        _changed(rng, value)
    kind = rng.choice(list(output.ENCODINGS.values()))
    return _output(kind, MARK + _json(value).decode())


def _read_recipe(path: Path) -> None:
    recipe.from_comment(output.read_comment(path), str(path))


# What is read.


def _read_arrays(path: Path, **options: Any) -> None:
    for tensor in open_tensors(path, **options).values():
        if np.prod(tensor.shape, dtype=float) < 1e6:
            tensor.read().sum()


def _read_record(path: Path) -> None:
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    (folder / provenance.FILE).write_bytes(path.read_bytes())
    provenance.read(folder)


def _files(*names: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [(DATA / "checkpoints" / name).read_bytes() for name in names]


def _record() -> Sequence[bytes]:
    file = {"name": "a", "size": 1, "sha256": "b"}
    part = {"name": "gpt", "parameters": 1, "bytes": 4, "files": [file]}
    data = {
        "format": provenance.FORMAT,
        "created": "2024",
        "dtype": "float32",
        "sources": [file],
        "ignored": [],
        "versions": [{"package": "jax", "version": "1"}],
        "files": [file],
        "components": [part],
    }
    return [json.dumps(data).encode()]


def _our_settings() -> Sequence[bytes]:
    return [(Path(__file__).parents[2] / "configs" / "tiny.yaml").read_bytes()]


GLOSSARY = """C++: {zh: C加加, en: C plus plus}
nginx: engine x
"3D":
  zh: 三维
"""


def _phone_recordings() -> Sequence[bytes]:
    return [(DATA.parent / "files" / n).read_bytes() for n in ("phone.m4a", "browser.webm")]


@functools.cache
def _segment() -> Sequence[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [fuzzing_media.segment_file(Path(folder) / "segments")]


READERS = {
    "text": Reader(
        ".txt",
        lambda: [fuzzing_media.TEXT.encode()],
        fuzzing_media.text_damaged,
        fuzzing_media.read_a_text,
    ),
    "archive": Reader(
        ".pth",
        lambda: [archive(), packed(VALUE, lambda entries: None, zipfile.ZIP_DEFLATED)],
        archive_damaged,
        functools.partial(_read_arrays, part="net"),
    ),
    "pickle": Reader(
        ".pth",
        lambda: [torch_files.dump(VALUE)],
        _archive_of_pickle,
        functools.partial(_read_arrays, part="net"),
    ),
    "safetensors": Reader(
        ".safetensors",
        lambda: [safetensors.numpy.save({"a": A, "b.c": B, "d": np.arange(3)})],
        header_damaged,
        _read_arrays,
    ),
    "published settings": Reader(".yaml", _files("config.yaml"), yaml_damaged, read_published),
    "our settings": Reader(".yaml", _our_settings, yaml_damaged, load_config),
    "model settings": Reader(
        ".json", _files("bigvgan/config.json"), json_damaged, read_settings
    ),
    "record": Reader(".json", _record, json_damaged, _read_record),
    "recording": Reader(
        ".audio", recordings, bytes_changed, lambda path: load_audio(path, 16000)
    ),
    "excerpt": Reader(
        ".audio", recordings, bytes_changed, lambda path: excerpt_of(path, "loudest", 0.6)
    ),
    "recording's headers": Reader(
        ".audio", fuzzing_media.short_recordings, fuzzing_media.headers_damaged,
        lambda path: excerpt_of(path, "loudest", 0.6),
    ),
    "segment": Reader(
        ".safetensors", _segment, bytes_changed, fuzzing_media.read_a_segment
    ),
    "voice": Reader(
        ".safetensors", lambda: [voice_file()], voice_damaged, store.read_record
    ),
    "glossary": Reader(
        ".yaml", lambda: [GLOSSARY.encode()], yaml_damaged, Glossary.load
    ),
    "recipe": Reader(".audio", outputs, output_damaged, _read_recipe),
}  # fmt: skip


if importlib.util.find_spec("av") is not None:
    READERS["recording of a phone"] = Reader(
        ".m4a", _phone_recordings, bytes_changed, lambda path: load_audio(path, 16000)
    )


def attempt(reader: Reader, path: Path) -> bool:
    """Reads a file; whether it could be read. What is no refusal comes through."""
    try:
        reader.read(path)
    except InputError as error:
        told = str(error)
        assert "\n" not in told, told
        assert len(told) < 5000, told[:200]
        told.encode()  # it can be shown
        return False
    return True
