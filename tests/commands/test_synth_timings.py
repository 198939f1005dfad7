"""`synth --timings` and `synth --play`, and `align`."""

import contextlib
import dataclasses
import functools
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden_copies
import numpy as np
import pytest
import soundfile
import support
from command_runs import SPOKEN
from command_runs import run_synth as run
from damage import run as run_command

from indextts_jax import align
from indextts_jax.audio import playback
from indextts_jax.audio.output import raw
from indextts_jax.checkpoint import alignment
from indextts_jax.checkpoint.alignment import ScoredHead
from indextts_jax.checkpoint.reading import ALIGNMENT, open_checkpoint
from indextts_jax.cli import playing, runner
from indextts_jax.cli.interruption import INTERRUPTED
from indextts_jax.engine.parts import Part
from indextts_jax.engine.request import Request
from indextts_jax.engine.speech import Segment
from indextts_jax.engine.streaming.chunks import Chunks, Sound
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder
from indextts_jax.timings.words import Word
from indextts_jax.voices.analysis import Voice

pytestmark = pytest.mark.usefixtures("offline")
pytest.importorskip("miniaudio")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny set, with heads of which it is claimed that they follow the text."""
    folder = tmp_path_factory.mktemp("timed") / "tiny"
    shutil.copytree(golden_copies.shared(), folder)
    alignment.write(open_checkpoint(folder), [ScoredHead(layer=1, head=0, score=0.5)], 9)
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def _loaded_once() -> Iterator[None]:
    """A checkpoint is loaded once for all tests here, and so is the voice."""
    voices: dict[str, Voice] = {}
    voice = IndexTTS.voice

    def analysed(self: IndexTTS, path: str | Path, *more: object, **options: object) -> Voice:
        if str(path) not in voices:
            voices[str(path)] = voice(self, path)
        return voices[str(path)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IndexTTS, "open", functools.cache(IndexTTS.open))
        patch.setattr(IndexTTS, "voice", analysed)
        patch.setattr(IndexTTS, "release_encoders", lambda self: None)
        yield


def speak(checkpoint: Path, *more: str, text: str = "Hello, it is 7:05.") -> int:
    return run(
        f"--checkpoint={checkpoint}",
        f"--speaker={support.TINY / 'speaker.wav'}",
        f"--text={text}",
        "--steps=2",
        "--max_codes=24",
        *more,
    )


def refused(capsys: pytest.CaptureFixture[str], checkpoint: Path, *more: str) -> str:
    assert speak(checkpoint, *more) == runner.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_files_of_times_are_written_beside_the_same_sound(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speak(checkpoint, "--output=plain.wav") in SPOKEN
    capsys.readouterr()
    files = ("--timings=a.srt", "--timings=a.json")
    assert speak(checkpoint, "--output=a.wav", *files) in SPOKEN
    assert np.array_equal(soundfile.read("plain.wav")[0], soundfile.read("a.wav")[0])
    data = json.loads(Path("a.json").read_text("utf-8"))
    assert [word["text"] for word in data["words"]] == ["Hello", "it", "is", "7:05"]
    assert {word["method"] for word in data["words"]} == {"attention"}
    assert Path("a.srt").is_file()
    assert "a.srt, a.json: " in capsys.readouterr().out


def test_an_estimate_is_named_so(capsys: pytest.CaptureFixture[str]) -> None:
    plain = golden_copies.shared()
    assert speak(plain, "--output=a.wav", "--timings=a.vtt", "--cue_words=1") in SPOKEN
    assert "an estimate from syllables and pauses" in capsys.readouterr().out
    assert Path("a.vtt").read_text("utf-8").startswith("WEBVTT")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--timings=a.txt",), "a.txt: times of words are written to"),
        (("--timings=a.srt", "--timings=a.srt"), "written twice"),
        (("--cue_words=2",), "--cue_words needs --timings"),
        (("--timings=no.wav/a.srt",), "cannot be written"),
        (("--volume=0.5",), "--volume needs --play"),
        (("--play", "--resume"), "mutually exclusive"),
        (("--play", "--batch=2"), "leave --batch out"),
    ],
)
def test_flags_that_cannot_work_are_refused_before_the_work(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], reason: str
) -> None:
    Path("no.wav").write_bytes(b"")
    assert reason in refused(capsys, checkpoint, *flags)


def test_stale_heads_are_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint / ALIGNMENT
    good = path.read_text("utf-8")
    path.write_text(good.replace(json.loads(good)["fingerprint"], "0" * 64), "utf-8")
    try:
        IndexTTS.open.cache_clear()  # type: ignore[attr-defined]
        code = speak(checkpoint, "--output=a.wav", "--timings=a.srt")
        assert code == runner.BAD_INPUT
        assert "made with another GPT" in capsys.readouterr().err
        assert not Path("a.wav").exists()
    finally:
        path.write_text(good, "utf-8")
        IndexTTS.open.cache_clear()  # type: ignore[attr-defined]


def test_speech_is_played_and_only_written_if_named(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speak(checkpoint, "--play", "--audio_device=null", "--prebuffer=0") in SPOKEN
    out = capsys.readouterr().out
    assert "first sound after" in out
    assert "played: " in out
    assert not list(Path().glob("*.wav"))
    assert speak(checkpoint, "--play", "--audio_device=null", "--output=b.wav") in SPOKEN
    assert speak(checkpoint, "--output=a.wav") in SPOKEN
    assert Path("b.wav").read_bytes()[:4] == b"RIFF"
    assert np.array_equal(soundfile.read("b.wav")[0], soundfile.read("a.wav")[0])


def test_chunks_are_played_piped_and_timed(
    checkpoint: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sounds of two segments, between which a word is cut."""
    samples = np.linspace(-0.5, 0.5, 4000, dtype=np.float32)
    word = Word("7:05", 0.01, 0.05, 14, 18, "seven", None, "estimate")
    rest = dataclasses.replace(word, start=0.1, end=0.15, spoken="o five")
    final = Segment(1, 9, 9, False)

    def sounds(self: IndexTTS, request: Request, **more: Any) -> Iterator[Sound]:
        assert more["timings"]
        assert request.settings is not None
        assert request.settings.chunks == Chunks()
        yield Sound(samples[:1000], 0, 0)
        yield Sound(samples[1000:2000], 0, 1000, final=final, words=(word,))
        yield Sound(samples[2000:], 1, 2000, final=final, words=(rest,))

    monkeypatch.setattr(IndexTTS, "stream", sounds)
    flags = ("--stream", "--timings=a.json", "--output=-")
    for more in ((), ("--play", "--audio_device=null", "--prebuffer=0.1")):
        assert speak(checkpoint, *flags, *more) in SPOKEN
        out, err = capfdbinary.readouterr()
        assert out == raw(samples)
        data = json.loads(Path("a.json").read_text("utf-8"))
        (found,) = data["words"]
        assert (found["start"], found["end"], found["spoken"]) == (0.01, 0.15, "seven o five")
        assert data["text"] == "Hello, it is 7:05."
    assert b"played 0.18 s" in err


def test_a_machine_without_a_device_ends_with_one_line(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(rate: int, name: str | None) -> None:
        raise InputError("no audio device can be opened here: write a file instead")

    monkeypatch.setattr(playback, "_device", none)
    assert "no audio device" in refused(capsys, checkpoint, "--play")


class Listener:
    """A player whose device plays at once."""

    def __init__(self, rate: int = 1000):
        self.rate, self.queue = rate, playback.SampleQueue()
        self.write = self.queue.write

    def finish(self) -> None:
        self.queue.close()
        self.queue.read(self.queue.held or 1)


def part(seconds: float) -> Part:
    return Part(np.ones(round(1000 * seconds), np.float32), Segment(1, 1, 1, False), {})


def parts(*lengths: float) -> Iterator[Part]:
    yield from map(part, lengths)


def test_parts_are_played_in_order_and_given_back() -> None:
    player = Listener()
    made = playing.play(player, parts(0.5, 0.25), [1.0, 1.0], None)  # type: ignore[arg-type]
    assert made is not None
    assert [len(one.samples) for one in made] == [500, 250]
    assert player.queue.played == 750


def test_sounds_of_a_slow_machine_wait_as_long_as_they_say(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    player, waits = Listener(), list[float]()

    @contextlib.contextmanager
    def after(seconds: float, call: Any) -> Iterator[None]:
        waits.append(seconds)
        yield

    monkeypatch.setattr(playing, "_after", after)
    made = (Sound(np.ones(10, np.float32), 0, 10 * n, prebuffer=2.5 * (n == 0)) for n in range(3))
    found = playing.play(player, made, [1.0], None)  # type: ignore[arg-type]
    assert found is not None
    assert len(found) == 3
    assert waits == [2.5]
    assert "first sound after 2.5" in capsys.readouterr().out


def test_a_call_comes_after_its_time_unless_the_block_ends_before() -> None:
    called, other = threading.Event(), threading.Event()
    with playing._after(0.01, called.set), playing._after(60.0, other.set):
        assert called.wait(60)
    assert not other.is_set()
    with playing._after(0.0, other.set):
        assert other.is_set()


def test_a_listener_who_stops_ends_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    player, made = Listener(), []

    def several() -> Iterator[Part]:
        for number in range(5):
            made.append(number)
            if number == 2:
                playing._act(player.queue, "q")
            yield part(0.1)

    found = playing.play(player, several(), [1.0] * 5, None)  # type: ignore[arg-type]
    assert found is None
    assert made == [0, 1, 2]


def test_a_stage_after_the_stop_raises() -> None:
    player, seen = Listener(), list[str]()
    stage = playing.until_stopped(player, seen.append)  # type: ignore[arg-type]
    stage("codes")
    player.queue.stop()
    with pytest.raises(playing.Stopped):
        stage("flow")
    assert seen == ["codes"]


def test_space_pauses_and_goes_on() -> None:
    queue = playback.SampleQueue()
    playing._act(queue, " ")
    assert queue.paused
    playing._act(queue, " ")
    assert not queue.paused


@pytest.mark.parametrize(
    ("ready", "spent", "estimates", "prebuffer", "begins"),
    [
        (1.0, 0.5, [1, 9, 9], None, True),  # faster than real time
        (1.0, 2.0, [1], None, True),  # nothing follows
        (1.0, 2.0, [1, 1], None, False),  # the second takes 2 s, and there is 1
        (1.0, 2.0, [1, 0.5], None, True),
        (1.0, 2.0, [1, 9, 9], 0.0, True),
        (1.0, 0.5, [1, 9], 3.0, False),
    ],
)
def test_playing_begins_when_the_rest_can_follow(
    ready: float, spent: float, estimates: list[float], prebuffer: float | None, begins: bool
) -> None:
    assert playing._may_begin(ready, spent, 1, estimates, prebuffer) is begins


def test_a_stop_writes_nothing_and_says_so(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "play", lambda *given: None)
    null = ("--play", "--audio_device=null")
    assert speak(checkpoint, *null) == 0
    assert speak(checkpoint, *null, "--output=a.wav") == INTERRUPTED
    assert "stopped: a.wav is not written" in capsys.readouterr().out
    assert not Path("a.wav").exists()


def test_random_weights_have_no_heads_that_follow_a_text(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("lines.txt").write_text("Hello.\n\nA dog.\n", "utf-8")
    before = (checkpoint / ALIGNMENT).read_bytes()
    code = run_command(
        align,
        "--action=calibrate",
        f"--checkpoint={checkpoint}",
        f"--speaker={support.TINY / 'speaker.wav'}",
        "--text_file=lines.txt",
        "--device=cpu",
    )
    assert code == runner.FAILURE
    assert "expected at least 4" in capsys.readouterr().err.splitlines()[-1]
    assert (checkpoint / ALIGNMENT).read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "give an action"),
        (("--action=calibrate",), "give --checkpoint"),
        (("--action=calibrate", "--checkpoint=x", "--speaker=a.wav"), "x does not exist"),
    ],
)
def test_what_align_lacks_is_named(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], reason: str
) -> None:
    assert run_command(align, *flags) == runner.BAD_INPUT
    assert reason in capsys.readouterr().err
