"""Writing waveforms: WAV, FLAC, OGG and MP3 by file ending, each with a comment."""

import io
import struct
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float, Float32

from indextts_jax.errors import Failure, InputError
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.paths import user_path

PCM_16_PEAK = 32767
STDOUT = "-"  # output name for raw 16-bit samples on standard output


class Encoding(NamedTuple):
    """A file format: libsndfile's names of the container and its sample formats, default first."""

    container: str
    subtypes: tuple[str, ...]


ENCODINGS = {
    ".wav": Encoding("WAV", ("PCM_16", "PCM_24", "FLOAT")),
    ".flac": Encoding("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": Encoding("OGG", ("VORBIS",)),
    ".mp3": Encoding("MP3", ("MPEG_LAYER_III",)),
}
LOSSLESS = ("WAV", "FLAC")


def encoding(path: str | Path, subtype: str | None = None) -> tuple[str, str]:
    """Container and sample format of an output, by its ending.

    Raises:
        InputError: for an unknown ending, or a sample format that the container does not support.
    """
    ending = Path(path).suffix.lower()
    if ending not in ENCODINGS:
        offered = ", ".join(ENCODINGS)
        raise InputError(f"{path} ends in {ending!r}: expected one of {offered}")
    container, subtypes = ENCODINGS[ending]
    if subtype is None:
        return container, subtypes[0]
    if subtype not in subtypes:
        raise InputError(
            f"{path}: {container} files cannot hold {subtype} samples; use {', '.join(subtypes)}"
        )
    return container, subtype


def quantized(samples: Float[np.ndarray, " n"], subtype: str) -> np.ndarray:
    """Samples (clipped to [-1, 1]) in the form that the encoder takes.

    Source: `IndexTTS2.infer_generator` of the PyTorch release, for the scale of 16-bit samples.
    """
    clipped = np.clip(samples, -1, 1).astype(np.float32)
    if subtype == "PCM_16":
        return np.rint(clipped * PCM_16_PEAK).astype(np.int16)
    if subtype == "PCM_24":
        # libsndfile uses the upper 24 of 32 bits.
        return np.rint(clipped.astype(np.float64) * (2**23 - 1)).astype(np.int32) << 8
    return clipped


def encode(
    samples: Float[np.ndarray, " n"],
    sample_rate: int,
    container: str,
    subtype: str,
    comment: str = "",
) -> bytes:
    """The bytes of a mono file, with the comment (ASCII) where players look for it.

    Raises:
        ValueError: for samples that are not finite, or a comment that is not ASCII.
    """
    if not np.isfinite(samples).all():
        raise ValueError("the samples are not finite")
    if not comment.isascii():
        raise ValueError("the comment is not ASCII")
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", sample_rate, 1, subtype, format=container) as file:
        if comment and container != "WAV":
            file.comment = comment
        file.write(quantized(samples, subtype))
    data = stream.getvalue()
    return _with_info(data, comment) if comment and container == "WAV" else data


def _with_info(wav: bytes, comment: str) -> bytes:
    """Appends a LIST INFO chunk to a WAV file; libsndfile itself drops long comments."""
    text = comment.encode("ascii") + b"\0"
    padded = text + b"\0" * (len(text) % 2)
    entry = b"ICMT" + struct.pack("<I", len(text)) + padded
    chunk = b"LIST" + struct.pack("<I", 4 + len(entry)) + b"INFO" + entry
    body = wav + b"\0" * (len(wav) % 2)
    return body[:4] + struct.pack("<I", len(body) + len(chunk) - 8) + body[8:] + chunk


def check_output(path: str | Path, subtype: str | None = None) -> None:
    """Checks, before the work is done, that an output can be written.

    Raises:
        InputError: for an unsupported format, a directory, or a path that cannot be written.
    """
    path = user_path(path, "the output")
    encoding(path, subtype)
    check_place(path)


def check_place(path: Path) -> None:
    """Checks that a file can be written at a path, which may not exist yet.

    Raises:
        InputError: for a directory, or a path that cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} exists and is not a file")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise InputError(f"{path} cannot be written: {folder} is not a directory")
        with tempfile.TemporaryFile(dir=folder):  # permissions alone are not reliable
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def write_audio(
    path: str | Path,
    samples: Float[np.ndarray, " n"],
    sample_rate: int,
    subtype: str | None = None,
    comment: str = "",
) -> None:
    """Writes samples (clipped to [-1, 1]) as a mono file, atomically.

    The ending selects the format; an existing file is replaced, missing directories are created.

    Raises:
        InputError: for an unsupported format or sample format, or a path that cannot be written.
        Failure: if writing fails, as on a full disk.
        ValueError: for samples that are not finite, or a comment that is not ASCII.
    """
    check_output(path, subtype)
    container, chosen = encoding(path, subtype)
    data = encode(samples, sample_rate, container, chosen, comment)
    try:
        write_whole(user_path(path), data)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error


def read_comment(path: str | Path) -> str:
    """The comment of an audio file; empty if it has none.

    Raises:
        InputError: if the file cannot be read as audio.
    """
    path = user_path(path, "the output")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return read_comment_of(data)
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", error)
        raise InputError(f"{path} is not audio that can be read: {reason}") from error


def read_comment_of(data: bytes) -> str:
    """As `read_comment`, from the bytes of a file.

    Raises:
        soundfile.SoundFileError: if they cannot be read as audio.
    """
    if data[:4] == b"RIFF":
        return _info(data)
    with soundfile.SoundFile(io.BytesIO(data)) as audio:
        return str(audio.comment)


def _info(wav: bytes) -> str:
    """The comment in the LIST chunk of a RIFF file."""
    place = 12
    while place + 8 <= len(wav):
        name, size = wav[place : place + 4], struct.unpack_from("<I", wav, place + 4)[0]
        body = wav[place + 8 : place + 8 + size]
        if name == b"LIST" and body[:4] == b"INFO":
            inner = 4
            while inner + 8 <= len(body):
                length = struct.unpack_from("<I", body, inner + 4)[0]
                if body[inner : inner + 4] == b"ICMT":
                    text = body[inner + 8 : inner + 8 + length]
                    return text.rstrip(b"\0").decode("utf-8", "replace")
                inner += 8 + length + length % 2
        place += 8 + size + size % 2
    return ""


def raw(samples: Float[np.ndarray, " n"]) -> bytes:
    """The samples as raw PCM: signed 16-bit, little-endian, mono."""
    return quantized(samples, "PCM_16").astype("<i2").tobytes()


def decode(path: str | Path) -> tuple[Float32[np.ndarray, " n"], int]:
    """The samples of an output file, and its rate."""
    try:
        samples, rate = soundfile.read(path, dtype="float32")
    except soundfile.SoundFileError as error:
        raise InputError(f"{path} is not audio that can be read: {error}") from error
    return samples, rate
