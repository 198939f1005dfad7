"""The damage matrix of the synth command: one line, the exit code, and no half-written sound."""

import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import support
from damage import Case, check, complaint, everything, rows, run_synth

from indextts_jax.audio.io import load_audio
from indextts_jax.cli import runner
from indextts_jax.engine.request import Request
from indextts_jax.engine.speech import Segment, Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime import cache_folder
from indextts_jax.voices.analysis import Voice

RATE = 22050
SPEAKER = f"--speaker={support.TINY / 'speaker.wav'}"


def noise(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    size = (int(seconds * rate), channels)
    return (0.1 * np.random.default_rng(0).normal(size=size)).astype(np.float32)


def recording(samples: np.ndarray, rate: int = RATE) -> Callable[[Path], None]:
    return lambda folder: soundfile.write(folder / "a.wav", samples, rate, "FLOAT")


def with_sample(value: float) -> np.ndarray:
    samples = noise(1)
    samples[11025] = value
    return samples


def three_hours(folder: Path) -> None:
    """Three hours in stereo, most of them a hole in the file."""
    recording(noise(16, 44100, 2), 44100)(folder)
    size = 3 * 3600 * 44100 * 8
    os.truncate(folder / "a.wav", size + 1000)
    with (folder / "a.wav").open("r+b") as file:
        head = bytearray(file.read(200))
        place = head.index(b"data") + 4
        head[place : place + 4] = struct.pack("<I", size)
        head[4:8] = struct.pack("<I", size + place)
        file.seek(0)
        file.write(head)
    assert soundfile.info(folder / "a.wav").duration == 3 * 3600


def text_file(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "a.txt").write_bytes(data)


def nothing(folder: Path) -> None:
    """No damage: the flags alone are bad."""


def joined(folder: Path, rate: int = RATE) -> None:
    """Two recordings in one file, the second at another rate."""
    for name, hertz in (("a.wav", RATE), ("c.wav", rate)):
        soundfile.write(folder / name, noise(3, hertz), hertz)
    (folder / "b.wav").write_bytes(b"".join((folder / n).read_bytes() for n in ("a.wav", "c.wav")))
    (folder / "b.wav").replace(folder / "a.wav")
    (folder / "c.wav").unlink()


def cut_off(folder: Path) -> None:
    soundfile.write(folder / "b.wav", noise(6), RATE)
    os.truncate(folder / "b.wav", (folder / "b.wav").stat().st_size // 2)


def of_a_pipe(folder: Path) -> None:
    """A recording whose header states no length."""
    soundfile.write(folder / "b.wav", noise(6), RATE)
    data = bytearray((folder / "b.wav").read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = bytes(4)
    (folder / "b.wav").write_bytes(data)


A, TEXT = "--speaker=a.wav", "--text_file=a.txt"
OPPOSITE = np.hstack([noise(1), -noise(1)])

REFUSED = [
    # Recordings.
    Case("no such file", nothing, ("a.wav cannot be read: No such file",), (A,)),
    Case("a folder", lambda folder: (folder / "a.wav").mkdir(),
         ("a.wav is not a file: expected a recording",), (A,)),
    Case("not audio", lambda folder: (folder / "a.wav").write_text("words " * 99),
         ("a.wav is not audio that can be read (WAV, FLAC, OGG or MP3)",), (A,)),
    Case("an empty file", lambda folder: (folder / "a.wav").touch(), ("a.wav is not audio",), (A,)),
    Case("silence", recording(np.zeros((RATE, 1), np.float32)),
         ("a.wav has no sound in the 1 s that are used (it is silent)",), (A,)),
    Case("channels that cancel out", recording(OPPOSITE),
         ("a.wav has no sound", "its channels cancel each other"), (A,)),
    Case("0.05 s", recording(noise(0.05, 24000), 24000),
         ("a.wav is 0.05 s long; a prompt needs at least 0.5 s",), (A,)),
    Case("no samples", recording(noise(0)), ("a.wav is 0.0 s long",), (A,)),
    Case("NaN samples", recording(with_sample(np.nan)),
         ("a.wav holds a sample of nan at 0.500 s: expected numbers in [-1, 1]",), (A,)),
    Case("infinite samples", recording(with_sample(-np.inf)),
         ("a.wav holds a sample of inf at 0.500 s",), (A,)),
    Case("samples of another scale", recording(with_sample(-32768)),
         ("a.wav holds a sample of 32768.0 at 0.500 s",), (A,)),
    Case("1 Hz", recording(noise(1), 1), ("a.wav has a sample rate of 1 Hz", "4,000"), (A,)),
    Case("an emotion that is no audio", lambda folder: (folder / "a.wav").write_text("words"),
         ("a.wav is not audio",), ("--emotion=a.wav",)),
    Case("recordings of two kinds joined", lambda folder: joined(folder, 8000),
         ("a.wav consists of recordings of different kinds", "split it"), (A,)),
    Case("a format of phones, cut off",
         lambda folder: (folder / "a.wav").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(500)),
         ("a.wav is MP4 (m4a, mp4, mov, 3gp)",), (A,)),
    Case("an empty name", nothing, ("--speaker is empty: give it a value",), ("--speaker=",)),
    Case("an address", nothing, ("--speaker https://a.example/v.wav is an address",),
         ("--speaker=https://a.example/v.wav",)),
    Case("standard input", nothing, ("cannot come from standard input",), ("--speaker=-",)),
    Case("a name that would clear the terminal", nothing, (r"a\x1b[2J\nb.wav cannot be read",),
         ("--speaker=a\x1b[2J\nb.wav",)),
    # Texts.
    Case("empty text", nothing, ("the text is empty",), ("--text=",)),
    Case("blank text", nothing, ("the text is empty",), ("--text= \n\u3000",)),
    Case("an empty file of text", text_file(b"\xef\xbb\xbf\n"), ("a.txt is empty",), (TEXT,)),
    Case("no file of text", nothing, ("a.txt: No such file",), (TEXT,)),
    Case("text that is no UTF-8", text_file("Grüße".encode("latin-1")),
         ("a.txt is not UTF-8 text",), (TEXT,)),
    Case("text of broken Unicode", nothing, ("not Unicode at character 3",), ("--text=ab\udcff",)),
    Case("text that the tokenizer cannot read", nothing,
         ("the tokenizer knows no piece of the text: ЖЖ",), ("--text=ЖЖ",)),
    Case("text too long for any memory", text_file(b"a" * 10_000_001),
         ("a.txt has more than 10,000,000 characters",), (TEXT,)),
    # Outputs.
    Case("an output of another kind", nothing, ("out.xyz", ".wav"), ("--output=out.xyz",)),
    Case("an output that is a folder", lambda folder: (folder / "b.wav").mkdir(),
         ("b.wav exists and is not a file",), ("--output=b.wav",)),
    Case("an output in a file", text_file(b""), ("a.txt is not a directory",),
         ("--output=a.txt/out.wav",)),
    Case("an output with an endless name", nothing, ("cannot be written: File name too long",),
         (f"--output={'a' * 300}.wav",)),
    Case("an output over the recording", recording(noise(1)),
         ("--output a.wav would overwrite the recording",), (A, "--output=a.wav")),
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@rows(REFUSED)
def test_bad_input_is_refused_in_one_line_before_any_work(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*arguments: Any, **options: Any) -> None:
        raise AssertionError("this should not be reached")

    monkeypatch.setattr(IndexTTS, "voice", work)
    case.damage(folder)
    before = everything(folder)
    check(case, run_synth("--demo", *case.argv), complaint(capsys))
    assert everything(folder) == before


def test_unwritable_output_is_reported_before_synthesis(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**options: Any) -> None:  # root has every permission
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert run_synth("--demo", "--output=out.wav") == runner.BAD_INPUT
    assert "out.wav cannot be written: Permission denied" in complaint(capsys)


# What is odd, and works. The model itself is left out: it takes half a minute to compile.


class Spoken:
    """What the model was given, in place of the model."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []
        self.segments: list[list[int]] = []
        self.midway: Callable[[], object] = lambda: None

    def voice(self, tts: IndexTTS, path: str, clock: Any) -> Voice:
        self.heard = [load_audio(path, RATE), load_audio(path, 16000)]
        return object.__new__(Voice)  # of nothing

    def speak(self, tts: IndexTTS, request: Request) -> Speech:
        self.segments = tts.segments(request.text, request.settings.segment_tokens)
        self.midway()
        samples = noise(0.1)[:, 0]
        reports = [Segment(len(tokens), 1, 2, False) for tokens in self.segments]
        return Speech(samples, RATE, tuple(reports), {"codes": 1.0})


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> Spoken:
    spoken = Spoken()
    monkeypatch.setattr(
        IndexTTS, "voice", lambda tts, path, clock=None, **o: spoken.voice(tts, path, clock)
    )
    monkeypatch.setattr(IndexTTS, "speak", lambda tts, request, **o: spoken.speak(tts, request))
    return spoken


B = "--speaker=b.wav"

ACCEPTED = [
    Case("a recording that is cut off", cut_off,
         ("warning: b.wav: it is cut off: its header states 6.00 s, the file holds 3.00 s",), (B,)),
    Case("a recording of a pipe", of_a_pipe, (), (B,)),
    Case("two recordings in one file", lambda f: (joined(f), (f / "a.wav").rename(f / "b.wav")),
         (), (B,)),
    Case("a FLAC stream of unknown length", nothing, (),
         (f"--speaker={support.DATA / 'files' / 'stream_unknown_length.flac'}",)),
    Case("a WAV file with another name", nothing, ("it is cut off",),
         (f"--speaker={support.DATA / 'files' / 'wav_named.raw'}", "--prompt_excerpt=loudest")),
    Case("an offset and little else", nothing, ("it is probably silent", "a constant offset"),
         (f"--speaker={support.DATA / 'files' / 'dc_and_hiss.wav'}",)),
    Case("channels that nearly cancel", nothing, ("its channels nearly cancel each other",),
         (f"--speaker={support.DATA / 'files' / 'stereo_nearly_opposite.wav'}",)),
    Case("weights above one", nothing, ("emotion weights are usually between 0 and 1",),
         ("--emotion_weights=happy=1.5",)),
    Case("8 channels", recording(noise(2, channels=8)), (), (A,)),
    Case("192 kHz", recording(noise(2, 192000), 192000), (), (A,)),
    Case("1,000 channels", recording(noise(2, 8000, 1000), 8000), (), (A,)),
    Case("3 hours", three_hours, (), (A,)),
    Case("200 kB of text", text_file(b"The cat sat on a wall, and saw a dog. " * 5300),
         ("segments of at most", "s of audio each"), (TEXT,)),
    Case("text of which something is unknown", nothing, ("does not know: Ж",), ("--text=Hi Ж",)),
    Case("text that would turn the terminal's", nothing, (), ("--text=Hi \u202eabc",)),
    Case("an output in a new folder", nothing, (), ("--output=new/folder/out.wav",)),
]  # fmt: skip


@rows(ACCEPTED)
def test_odd_input_is_fast_and_small(
    case: Case, folder: Path, spoken: Spoken, capsys: pytest.CaptureFixture[str]
) -> None:
    case.damage(folder)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert run_synth("--demo", "--output=out.wav", *case.argv) == 0
    assert time.process_time() - start < 60  # whatever else the machine does
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kB
    printed = capsys.readouterr()
    for part in case.told:
        assert part in printed.out + printed.err
    (written,) = folder.rglob("out.wav")
    assert soundfile.info(written).frames == 2205
    heard = min(soundfile.info("a.wav").duration, 15) if A in case.argv else None
    for rate, samples in zip((RATE, 16000), spoken.heard, strict=True):
        assert heard is None or abs(len(samples) - heard * rate) <= 1


# What goes wrong midway.


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def break_down() -> None:
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand more")


MIDWAY = [
    Case("Ctrl-C", lambda spoken: setattr(spoken, "midway", interrupt),
         ("interrupted: nothing was left half-written",), code=130),
    Case("SIGTERM", lambda spoken: setattr(spoken, "midway", terminate),
         ("terminated: nothing was left half-written",), code=130),
    Case("no memory", lambda spoken: setattr(spoken, "midway", break_down),
         ("RESOURCE_EXHAUSTED: Out of memory and more",), code=runner.FAILURE),
]  # fmt: skip


@rows(MIDWAY)
@pytest.mark.parametrize("existing", [False, True])
def test_failure_leaves_the_output_unchanged(
    case: Case, existing: bool, folder: Path, spoken: Spoken, capsys: pytest.CaptureFixture[str]
) -> None:
    if existing:
        (folder / "out.wav").write_bytes(b"before")
    case.damage(spoken)  # type: ignore[arg-type]
    check(case, run_synth("--demo", "--output=out.wav"), complaint(capsys))
    assert everything(folder) == ["out.wav"] * existing
    assert not existing or (folder / "out.wav").read_bytes() == b"before"


@pytest.fixture
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_of_a_sound(
    folder: Path, spoken: Spoken, full_disk: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out.wav").write_bytes(b"before")
    assert run_synth("--demo", "--output=out.wav") == runner.FAILURE
    assert "out.wav cannot be written: File too large" in complaint(capsys)
    assert everything(folder) == ["out.wav"]
    assert (folder / "out.wav").read_bytes() == b"before"
