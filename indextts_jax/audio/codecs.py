"""Recordings that libsndfile cannot read (m4a, aac, mp4, webm, amr), by PyAV or ffmpeg."""

import contextlib
import importlib.util
import os
import shlex
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from indextts_jax.errors import InputError

INSTALL = "pip install av"  # the extra `codecs`
_MARKS = {
    b"\x1a\x45\xdf\xa3": "WebM or Matroska",
    b"#!AMR": "AMR",
    b"\x30\x26\xb2\x75": "WMA",
    b"FLV\x01": "FLV",
    b"ADIF": "AAC",
    b"MAC ": "Monkey's Audio",
    b"wvpk": "WavPack",
    b"TTA1": "True Audio",
    b"\x0b\x77": "AC-3",
}


def kind_of(head: bytes) -> str | None:
    """The name of a format that libsndfile does not read, by the beginning of a file."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"):
        return "MP4 (m4a, mp4, mov, 3gp)"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"
    if head[:4] == b"caff" and any(mark in head for mark in (b"aac ", b"opus", b"ilbc")):
        return "CAF with compressed sound"
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


class Decoded:
    """A recording that another program or library decodes; as `recording.Recording`."""

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        channels: int,
        blocks: Iterator[Float32[np.ndarray, "n c"]],
        notes: list[str],
    ):
        self.path, self.sample_rate, self.channels = path, sample_rate, channels
        self.notes, self._blocks = notes, blocks

    def blocks(self, start: float = 0.0) -> Iterator[Float32[np.ndarray, "n c"]]:
        """The samples from second `start` on."""
        skip = round(start * self.sample_rate)
        for block in self._blocks:
            if skip >= len(block):
                skip -= len(block)
                continue
            yield block[skip:]
            skip = 0


@contextlib.contextmanager
def decoded(path: Path, kind: str, file: Path | None = None) -> Iterator[Decoded]:
    """A recording, decoded by PyAV if it is installed, else by ffmpeg if it is on the path.

    `file` holds it, if not the one at `path`.

    Raises:
        InputError: if neither is there, or the file cannot be decoded.
    """
    if importlib.util.find_spec("av") is not None:
        way: Callable[[Path, str, Path], Any] = _by_pyav
    elif shutil.which("ffmpeg") is not None:
        way = _by_ffmpeg
    else:
        convert = shlex.join(("ffmpeg", "-i", str(path), str(path.with_suffix(".wav"))))
        raise InputError(
            f"{path} is {kind}, which needs PyAV or ffmpeg to be read: {INSTALL}, or install "
            f"ffmpeg, or convert it: {convert}"
        )
    with way(path, kind, file or path) as recording:
        yield recording


@contextlib.contextmanager
def _by_pyav(path: Path, kind: str, file: Path) -> Iterator[Decoded]:
    import av  # an extra

    av.logging.set_level(None)  # its notes do not belong on standard error
    try:
        container: Any = av.open(os.fspath(file))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, kind, error) from error
    with container:
        streams = container.streams.audio
        if not streams:
            raise InputError(f"{path} is {kind} without a sound track")
        stream, notes = streams[0], []
        if len(streams) > 1:
            notes.append(f"it has {len(streams)} sound tracks: the first is used")
        if stream.codec_context is None:
            raise _unreadable(path, kind, "the format of its sound track is unknown")
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        if not rate or not channels:
            raise _unreadable(path, kind, "its sound track states no sample rate or no channels")
        stated = float(stream.duration * stream.time_base) if stream.duration else None
        if stated is None and container.duration:
            stated = container.duration / av.time_base
        made = Decoded(path, rate, channels, iter(()), notes)
        made._blocks = _frames(av, container, stream, made, kind, stated)
        yield made


def _frames(
    av: Any, container: Any, stream: Any, made: Decoded, kind: str, stated: float | None
) -> Iterator[Float32[np.ndarray, "n c"]]:
    """The blocks of a sound track, as float32 at its own rate."""
    resampler = av.AudioResampler(format="flt", rate=made.sample_rate)
    read, damaged = 0, False
    try:
        for frame in _then_none(container.decode(stream)):
            for part in resampler.resample(frame):
                samples = part.to_ndarray().reshape(-1, made.channels)
                read += len(samples)
                yield samples.astype(np.float32, copy=False)
    except (av.FFmpegError, ValueError) as error:
        if not read:
            raise _unreadable(made.path, kind, error) from error
        damaged = True
    if not read:
        raise _unreadable(made.path, kind, "it holds no sound")
    held = read / made.sample_rate
    if damaged or (stated is not None and held < stated - 0.2):
        says = f"header states {stated:.2f} s" if stated is not None else "end is missing"
        made.notes.append(f"it is cut off or damaged: its {says}, {held:.2f} s can be read")


def _then_none(frames: Iterator[Any]) -> Iterator[Any]:
    """The frames, then None, which empties a resampler."""
    yield from frames
    yield None


@contextlib.contextmanager
def _by_ffmpeg(path: Path, kind: str, file: Path) -> Iterator[Decoded]:
    # Sun's AU has a plain header of fixed size in front of the samples, which suits a pipe.
    command = ("ffmpeg", "-v", "error", "-nostdin", "-i", f"file:{file}", "-vn", "-map", "0:a:0")
    with subprocess.Popen(
        [*command, "-c:a", "pcm_f32be", "-f", "au", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            head = process.stdout.read(24)
            if len(head) < 24:
                reason = process.stderr.read().decode("utf-8", "replace").split("\n")[0]
                raise _unreadable(path, kind, reason or "no sound")
            offset, _, _, rate, channels = struct.unpack(">IIIII", head[4:])
            process.stdout.read(offset - 24)
            notes: list[str] = []
            yield Decoded(path, rate, channels, _piped(process, channels, notes), notes)
        finally:
            process.kill()


def _piped(
    process: "subprocess.Popen[bytes]", channels: int, notes: list[str]
) -> Iterator[Float32[np.ndarray, "n c"]]:
    assert process.stdout is not None
    assert process.stderr is not None
    width = 4 * channels
    while data := process.stdout.read(width * 2**14):
        whole = len(data) // width * width
        yield np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, channels)
    if problem := process.stderr.read().decode("utf-8", "replace").strip():
        notes.append(f"it is cut off or damaged: {problem.splitlines()[0]:.160}")


def _unreadable(path: Path, kind: str, error: object) -> InputError:
    return InputError(f"{path} is {kind}, but cannot be read: {' '.join(str(error).split()):.160}")
