"""Recordings are read to their end, or a warning says what the header states and what is there."""

import contextlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import support

from indextts_jax.audio import codecs
from indextts_jax.audio.io import load_audio
from indextts_jax.audio.quality import excerpt_of
from indextts_jax.errors import InputError

FILES = support.DATA / "files"
RATE, SECONDS = 16000, 4
RNG = np.random.default_rng(0)
WAVE = np.sin(2 * np.pi * 220 * np.arange(RATE * SECONDS) / RATE)
WAVE = (0.2 * WAVE + RNG.normal(0, 0.01, len(WAVE))).astype(np.float32)
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
}


def encoded(kind: str, wave: np.ndarray = WAVE, rate: int = RATE) -> bytes:
    stream = io.BytesIO()
    container, subtype = KINDS[kind]
    soundfile.write(stream, wave, rate, subtype, format=container)
    return stream.getvalue()


def seconds_of(path: Path) -> float:
    return len(load_audio(path, RATE)) / RATE


def saved(folder: Path, data: bytes, name: str = "a.audio") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_recording_is_that_of_the_library(tmp_path: Path, kind: str) -> None:
    data = encoded(kind)
    path = saved(tmp_path, data)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        np.testing.assert_array_equal(load_audio(path, RATE), file.read(dtype="float32"))
    assert excerpt_of(path).warnings == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_recording_that_is_cut_off_gives_a_warning(
    tmp_path: Path, kind: str, share: float
) -> None:
    data = encoded(kind)
    path = saved(tmp_path, data[: int(share * len(data))])
    assert share * SECONDS - 1.1 < seconds_of(path) < SECONDS
    warnings = " ".join(excerpt_of(path).warnings)
    assert "cut off" in warnings
    assert kind in ("ogg", "opus") or re.search(r"states [\d.,]+ \w+, .*?[\d.,]+", warnings)


@pytest.mark.parametrize("kind", KINDS)
def test_joined_recordings_are_used_to_the_end(tmp_path: Path, kind: str) -> None:
    times = 3 if kind in ("flac", "rf64", "mp3") else 2
    short = WAVE[: RATE * 3]
    path = saved(tmp_path, encoded(kind, short) * times)
    assert seconds_of(path) == pytest.approx(3 * times, abs=0.3)
    assert excerpt_of(path).warnings == ()
    late = load_audio(path, RATE, start=3 * times - 1.5)
    assert np.sqrt(np.mean(late**2)) > 0.1


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "aiff"])
def test_joined_recordings_of_different_kinds_are_refused(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, encoded(kind) + encoded(kind, rate=8000))
    with pytest.raises(InputError, match=r"joined together \(16000 Hz .* then 8000 Hz .*split it"):
        load_audio(path, RATE)


@pytest.mark.parametrize("kind", ["flac", "ogg", "opus", "mp3"])
@pytest.mark.parametrize("damage", [bytes(3000), RNG.bytes(300)])
def test_damage_inside_gives_a_warning(tmp_path: Path, kind: str, damage: bytes) -> None:
    data = bytearray(encoded(kind))
    middle = len(data) // 2
    data[middle : middle + len(damage)] = damage
    path = saved(tmp_path, bytes(data))
    assert seconds_of(path) > 1
    assert "damaged" in " ".join(excerpt_of(path).warnings)


@pytest.mark.parametrize("size", [0, 1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE])
@pytest.mark.parametrize("outer", [0, 0xFFFFFFFF, 0x7FFFFFFF, None])
def test_wav_of_a_pipe_is_used_to_the_end(tmp_path: Path, size: int, outer: int | None) -> None:
    data = bytearray(encoded("wav"))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", size)
    if outer is not None:
        data[4:8] = struct.pack("<I", outer)
    path = saved(tmp_path, bytes(data))
    assert seconds_of(path) == SECONDS
    assert bool(excerpt_of(path).warnings) == (size == 1000)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", ["au", "aiff", "rf64", "w64"])
def test_other_files_of_a_pipe_are_used_to_the_end(tmp_path: Path, kind: str, size: int) -> None:
    data = bytearray(encoded(kind))
    places = {
        "au": [8],
        "aiff": [4, data.find(b"SSND") + 4, data.find(b"COMM") + 10],
        "rf64": [20, 28, 36],
        "w64": [16, data.find(b"data") + 16],
    }
    for place in places[kind]:
        value = struct.pack(">I", size) if kind in ("au", "aiff") else struct.pack("<Q", size)
        data[place : place + len(value)] = value
    path = saved(tmp_path, bytes(data))
    assert seconds_of(path) == pytest.approx(SECONDS, abs=0.01)
    assert excerpt_of(path).warnings == ()


def test_chunks_after_the_sound_are_not_sound(tmp_path: Path) -> None:
    data = encoded("wav") + b"LIST" + struct.pack("<I", 4004) + b"INFO" + b"x" * 4000
    path = saved(tmp_path, data)
    assert seconds_of(path) == SECONDS
    assert excerpt_of(path).warnings == ()


def headless(data: bytes) -> bytes:
    """An MP3 file without the frame that states its length."""
    place = data.index(b"Info") if b"Info" in data[:200] else data.index(b"Xing")
    following = data.index(data[:2], place)
    return data[following:]


@pytest.mark.parametrize("quiet", [1e-3, 0.1, 1.0])
def test_mp3_of_variable_bit_rate_without_a_length_is_used_to_the_end(
    tmp_path: Path, quiet: float
) -> None:
    stream = io.BytesIO()
    wave = np.concatenate([WAVE * quiet, WAVE])
    with soundfile.SoundFile(
        stream, "w", RATE, 1, "MPEG_LAYER_III", format="MP3", bitrate_mode="VARIABLE"
    ) as file:
        file.write(wave)
    path = saved(tmp_path, headless(stream.getvalue()))
    assert seconds_of(path) == pytest.approx(2 * SECONDS, abs=0.2)
    tagged = saved(tmp_path, b"ID3\x04\0\0\0\0\x02\x00" + bytes(256) + path.read_bytes(), "b.mp3")
    np.testing.assert_array_equal(load_audio(tagged, RATE), load_audio(path, RATE))


def test_flac_of_unknown_length_is_used(tmp_path: Path) -> None:
    assert seconds_of(FILES / "stream_unknown_length.flac") == 3
    data = bytearray(encoded("flac"))
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    path = saved(tmp_path, bytes(data))
    np.testing.assert_array_equal(
        load_audio(path, RATE), load_audio(saved(tmp_path, encoded("flac"), "b.flac"), RATE)
    )
    assert len(load_audio(path, RATE, start=2.5)) == 1.5 * RATE
    assert "cut off" in " ".join(
        excerpt_of(saved(tmp_path, bytes(data[: len(data) // 2]), "c.flac")).warnings
    )


@pytest.mark.parametrize("excerpt", ["first", "loudest", "0.5"])
@pytest.mark.parametrize("name", ["a.raw", "a.RAW", "a", "a.txt", "a.mp3", "a.m4a"])
def test_the_ending_of_a_name_does_not_matter(tmp_path: Path, name: str, excerpt: str) -> None:
    path = saved(tmp_path, encoded("wav"), name)
    assert excerpt_of(path, excerpt).warnings == ()
    assert excerpt_of(FILES / "wav_named.raw", excerpt).start <= 0.5


@pytest.mark.parametrize("excerpt", ["first", "loudest"])
@pytest.mark.parametrize("data", [b"", b"no audio", bytes(5000), b"RIFF", b"fLaC", b"ID3", b"OggS"])
def test_what_is_not_a_recording_is_refused_in_one_line(
    tmp_path: Path, data: bytes, excerpt: str
) -> None:
    with pytest.raises(InputError, match=r"a\.audio is not audio that can be read") as error:
        excerpt_of(saved(tmp_path, data), excerpt)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("offset", [0, 24, 2**32 - 24, 2**31])
@pytest.mark.parametrize("size", [0, 24, 2**32 - 24, 2**32 - 1])
def test_a_header_that_points_at_itself_ends(tmp_path: Path, offset: int, size: int) -> None:
    data = bytearray(encoded("au"))
    data[4:12] = struct.pack(">II", offset, size)
    with contextlib.suppress(InputError):
        load_audio(saved(tmp_path, bytes(data)), RATE)


@pytest.mark.parametrize("data", [b"\xff\xfb\x90\x00", b"\xff\xfb\x90\x00" * 2])
def test_one_header_of_mp3_is_not_a_recording(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError):
        load_audio(saved(tmp_path, data), RATE)


@pytest.mark.parametrize("name", [b"a\xff.wav", "声音.flac".encode(), "ü.mp3".encode("latin-1")])
def test_any_file_name_will_do(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    kind = os.fsdecode(name).rpartition(".")[2]
    try:
        path.write_bytes(encoded(kind))
    except OSError:
        pytest.skip("this file system has no such names")
    assert excerpt_of(path, "loudest").warnings == ()
    assert seconds_of(path) == SECONDS


def test_the_decoder_writes_nothing_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(encoded("mp3"))
    data[5000:5400] = RNG.bytes(400)
    for name, content in (("a.mp3", data), ("b.mp3", data[:9000]), ("c.mp3", data + data)):
        excerpt_of(saved(tmp_path, bytes(content), name), "loudest")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


@pytest.mark.parametrize("excerpt", ["first", "loudest"])
@pytest.mark.parametrize("name", ["phone.m4a", "browser.webm", "radio.aac"])
def test_recordings_of_phones_are_read_with_pyav(name: str, excerpt: str) -> None:
    pytest.importorskip("av")
    signal = load_audio(FILES / name, RATE)
    assert len(signal) == pytest.approx(2 * RATE, abs=0.1 * RATE)
    assert np.argmax(np.abs(np.fft.rfft(signal[:RATE]))) == 220
    assert excerpt_of(FILES / name, excerpt).warnings == ()


@pytest.mark.parametrize("name", ["phone.m4a", "browser.webm", "radio.aac"])
def test_recordings_of_phones_are_read_with_ffmpeg(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program of that name that writes what ffmpeg writes."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport struct, sys\nassert sys.argv[5].startswith('file:')\n"
        "sys.stdout.buffer.write(b'.snd' + struct.pack('>IIIII', 28, 2**32 - 1, 6, 8000, 2) + "
        "bytes(4))\n"
        "sys.stdout.buffer.write(struct.pack('>4f', 0.25, -0.125, 0, 0) * 6000)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(codecs.importlib.util, "find_spec", lambda name: None)
    signal = load_audio(FILES / name, 8000, 1.0)
    np.testing.assert_array_equal(signal[:4000], np.tile(np.float32([0.0625, 0]), 2000))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("phone.m4a", "MP4"), ("browser.webm", "WebM"), ("radio.aac", "AAC"), ("x.amr", "AMR")],
)
def test_where_nothing_can_decode_it_the_error_says_how_to_convert(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codecs.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = tmp_path / name
    path.write_bytes((FILES / name).read_bytes() if (FILES / name).exists() else b"#!AMR\n" * 99)
    with pytest.raises(InputError, match=rf"is {kind}.*needs PyAV or ffmpeg.*ffmpeg -i .*\.wav"):
        load_audio(path, RATE)


def test_a_damaged_recording_of_a_phone_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("av")
    data = (FILES / "phone.m4a").read_bytes()
    with pytest.raises(InputError, match=r"a\.m4a is MP4 .* but cannot be read") as error:
        load_audio(saved(tmp_path, data[: len(data) // 2], "a.m4a"), RATE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("browser.webm", b"A_OPUS", b"A_XPUS", "the format of its sound track is unknown"),
        ("phone.m4a", b"\x80\x80\x05\x11", b"\x80\x80\x05\x44", "no sample rate or no channels"),
    ],
)
def test_a_sound_track_that_no_decoder_takes_is_refused(
    tmp_path: Path, name: str, old: bytes, new: bytes, words: str
) -> None:
    pytest.importorskip("av")
    data = (FILES / name).read_bytes()
    assert data.count(old) == 1
    with pytest.raises(InputError, match=words):
        load_audio(saved(tmp_path, data.replace(old, new), name), RATE)


LOCALE = """
import sys
from pathlib import Path
from indextts_jax.audio.quality import excerpt_of
print(len(excerpt_of(next(Path(sys.argv[1]).iterdir()), "loudest").warnings))
"""


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_a_path_in_chinese_is_read_in_the_posix_locale(tmp_path: Path, utf8: str) -> None:
    saved(tmp_path, encoded("wav"), "声音.wav")
    environment = {"LC_ALL": "POSIX", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", LOCALE, str(tmp_path)],
        env=os.environ | environment,
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == b"0"
