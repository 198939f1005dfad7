"""The synth command."""

import functools
import re
import shutil
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

from importers import command
from indextts_jax.audio.output import raw
from indextts_jax.cli import runner
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.streaming.chunks import Chunks, Sound
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime import cache_folder
from indextts_jax.voices.analysis import Voice

pytestmark = pytest.mark.usefixtures("offline")  # only the download command may download


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return golden_copies.shared()


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def _loaded_once() -> Iterator[None]:
    """A checkpoint is loaded once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IndexTTS, "open", functools.cache(IndexTTS.open))
        patch.setattr(IndexTTS, "release_encoders", lambda self: None)  # they are needed again
        yield


@pytest.fixture(scope="module")
def kept(checkpoint: Path) -> tuple[Voice, Speech]:
    """A voice, and what it said."""
    tts = IndexTTS.load(str(checkpoint), None)
    voice = tts.voice(support.TINY / "speaker.wav")
    settings = Settings(steps=2, max_codes=24)
    return voice, tts.speak("Hello world.", voice, settings=settings)


@pytest.fixture
def said(kept: tuple[Voice, Speech], monkeypatch: pytest.MonkeyPatch) -> Speech:
    """The model is left out: it says what it has said."""
    monkeypatch.setattr(IndexTTS, "voice", lambda *args, **more: kept[0])
    monkeypatch.setattr(IndexTTS, "speak", lambda *args, **more: kept[1])
    return kept[1]


def speak(checkpoint: Path, *more: str) -> int:
    return run(
        f"--checkpoint={checkpoint}",
        f"--speaker={support.TINY / 'speaker.wav'}",
        "--text=Hello world.",
        "--steps=2",
        "--max_codes=24",
        *more,
    )


def test_a_wav_is_written_and_the_work_reported(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speak(checkpoint, "--output=a.wav", "--device=cpu") in SPOKEN
    info = soundfile.info("a.wav")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
    assert info.frames > 0
    out = capsys.readouterr().out
    assert out.startswith("Using device: CPU")
    for word in ("codes", "flow", "vocoder", "total", "s of audio", "real-time factor"):
        assert word in out


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III")],
)
def test_suffix_selects_the_file_format(
    checkpoint: Path, said: Speech, name: str, subtype: str
) -> None:
    assert speak(checkpoint, f"--output={name}") in SPOKEN
    assert soundfile.info(name).subtype == subtype


def test_the_format_of_the_samples_can_be_chosen(checkpoint: Path, said: Speech) -> None:
    assert speak(checkpoint, "--output=a.wav", "--wav_subtype=FLOAT") in SPOKEN
    assert np.array_equal(soundfile.read("a.wav", dtype="float32")[0], said.samples)


def test_raw_samples_alone_go_to_standard_output(
    checkpoint: Path, said: Speech, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert speak(checkpoint, "--output=a.wav") in SPOKEN
    capfdbinary.readouterr()
    assert speak(checkpoint, "--output=-") in SPOKEN
    out, err = capfdbinary.readouterr()
    assert out == soundfile.read("a.wav", dtype="int16")[0].tobytes()
    assert b"real-time factor" in err
    assert not Path("-").exists()


def test_stream_writes_sounds_as_they_come(
    checkpoint: Path,
    said: Speech,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sounds(self: IndexTTS, request: Request, **more: Any) -> Iterator[Sound]:
        assert request.settings is not None
        assert request.settings.chunks == Chunks(first=25, seams="fast")
        for start in range(0, len(said.samples), 1000):
            part = said.samples[start : start + 1000]
            last = start + len(part) == len(said.samples)
            final = said.segments[0] if last else None
            yield Sound(part, 0, start, final=final, prebuffer=0.0 if start else 1.5)

    monkeypatch.setattr(IndexTTS, "stream", sounds)
    flags = ("--stream", "--first_chunk=25", "--seams=fast")
    assert speak(checkpoint, "--output=-", *flags) in SPOKEN
    out, err = capfdbinary.readouterr()
    assert out == raw(said.samples)
    assert re.search(rb"(?m)^first audio after .* sounds, at most .* apart; 0 underruns", err)
    assert b"slower than real time: wait 1.5 s before playing" in err
    assert speak(checkpoint, "--output=a.wav", *flags) in SPOKEN
    assert soundfile.read("a.wav", dtype="int16")[0].tobytes() == out


def test_demo_output_describes_the_model(said: Speech, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--demo", "--output=demo.wav") == 0
    assert soundfile.info("demo.wav").frames == len(said.samples)
    assert "RANDOM weights" in capsys.readouterr().out


@pytest.mark.nightly  # CI runs it out of the built package
def test_the_demo_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--demo", "--output=demo.wav", "--steps=2") == 0
    assert soundfile.info("demo.wav").frames > 0
    assert "RANDOM weights" in capsys.readouterr().out


@pytest.fixture(scope="module")
def worded(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint with the model that reads emotion from words."""
    target = tmp_path_factory.mktemp("worded") / "tiny"
    shutil.copytree(checkpoint, target)
    words = support.DATA / "qwen" / "tiny"
    code = runner.execute(
        command.main,
        command.define,
        name="import",
        summary="",
        common=command.COMMON,
        argv=[f"--src={words}", f"--dst={target}", "--components=text_emotion"],
    )
    assert code == 0
    return target


def test_words_speak_as_the_weights_that_they_stand_for(
    worded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--emotion_alpha=0.5", "--emotion_random", "--wav_subtype=FLOAT")
    assert speak(worded, *options, "--emotion_text=The train leaves at nine.") in SPOKEN
    assert "Emotion read from the text: calm 1\n" in capsys.readouterr().out
    worded_wave, _ = soundfile.read("output.wav")
    assert speak(worded, *options, "--emotion_weights=0,0,0,0,0,0,0,1") in SPOKEN
    weighted_wave, _ = soundfile.read("output.wav")
    assert np.array_equal(worded_wave, weighted_wave)


def test_words_that_give_no_emotion_are_an_error_that_shows_the_reply(
    worded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "--text=A line that the model was never taught: 42?"
    assert speak(worded, text, "--emotion_from_text") == runner.FAILURE
    assert "the emotion model's reply has no readable numbers: '{" in capsys.readouterr().err
    assert not Path("output.wav").exists()


def test_missing_text_emotion_explains_how_to_add_it(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speak(checkpoint, "--emotion_text=sad") == runner.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert f"{checkpoint} has no text_emotion" in line
    assert f"--components text_emotion --src DIR --dst {checkpoint}" in line


def test_truncated_segment_gives_warning_and_exit_code(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        speak(checkpoint, "--output=a.wav", "--max_codes=2", "--greedy", "--beams=1")
        == runner.FAULTY
    )
    assert "warning: segment 1: no stop code came within" in capsys.readouterr().err


SPEAKER = f"--speaker={support.TINY / 'speaker.wav'}"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give --checkpoint DIR .* or --demo"),
        (["--demo", "--checkpoint=x"], "give --checkpoint DIR .* or --demo"),
        (["--checkpoint=x", SPEAKER], "give --text or --text_file"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--text_file=b"], "are mutually exclusive"),
        (["--checkpoint=x", "--text=a"], "give --speaker"),
        (
            ["--checkpoint=x", SPEAKER, "--text=a", "--voice=b"],
            "--speaker and --voice are mutually exclusive",
        ),
        (["--checkpoint=x", "--text=a", "--voice=nobody"], "voice .*nobody.* does not exist"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--speed=3"], "--speed must be 0.5 to 2.0"),
        (["--demo", "--speed=2", "--duration=1"], "--speed and --duration are mutually exclusive"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--emotion_weights=a,b"], "must be numbers"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--temperature=0"], "temperature must be above"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--top_p=2"], "top_p must be from 0 to 1"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--steps=0"], "steps"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--device=abacus"], "device"),
        (["--checkpoint=x", SPEAKER, "--text=a"], "x"),
        (["--demo", "--first_chunk=25"], "--first_chunk needs --stream"),
        (["--demo", "--stream", "--first_chunk=30"], "--first_chunk must be one of 25, .*, got 30"),
        (["--demo", "--stream", "--duration=2"], "a --duration needs the codes of the whole text"),
        (["--checkpoint=x", SPEAKER, "--text=a", "--stream", "--resume"], "mutually exclusive"),
        (["--demo", "--emotion_alpha=1"], "needs an emotion"),
        (["--demo", "--prompt_excerpt=best"], "an excerpt must be first, loudest, or the second"),
        (["--demo", "--prompt_excerpt=60"], "demo_speaker.wav holds 0.0 s from second 60 on"),
    ],
)
def test_bad_input_is_one_line_and_code_2_and_no_file(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv, "--output=out.wav") == runner.BAD_INPUT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert not Path("out.wav").exists()


RECORDINGS = (
    "librivox_1.wav",
    "librivox_2.wav",
    "librivox_3.wav",
    "librivox_4.wav",
    "librivox_5.wav",
    "asterisk_en_basic-pbx-ivr-main.wav",
    "asterisk_en_confbridge-mute-extended.wav",
    "asterisk_fr_demo-instruct.wav",
)


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_real_recording_gives_a_wav(checkpoint: Path, name: str) -> None:
    speaker = support.real("speech") / name
    assert speak(checkpoint, f"--speaker={speaker}", "--output=real.wav") in SPOKEN
    assert soundfile.info("real.wav").frames > 0
