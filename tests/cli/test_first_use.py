"""What a newcomer expects: signs of life, names, standard input, seeds, one line that helps."""

import builtins
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import support
import yaml
from damage import complaint, run, run_synth

from importers.hub.remote import Hub
from indextts_jax import preview, synth
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import emotion_flags, prompt_flags, runner, terminal, text_flags
from indextts_jax.cli.terminal import stage_bar
from indextts_jax.config import EMOTIONS, RunConfig, load_config
from indextts_jax.emotion.request import Emotion, weight_warnings
from indextts_jax.engine import demo
from indextts_jax.engine import tts as tts_module
from indextts_jax.engine.seeds import chosen_seed
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Segment, Speech
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, executables
from indextts_jax.voices.analysis import Voice


def test_each_long_stage_prints_a_line_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    lines = terminal._StageLines("Speaking")
    at = {0: "loading", 4: "codes 1/9", 5: "flow 1/9", 8: "codes 2/9", 45: "flow 5/9\x1b[2J"}
    for second in range(50):
        now[0] = 100.0 + second
        if second in at:
            lines.show(at[second])
        lines.tick()
    assert capsys.readouterr().err.splitlines() == [
        "Speaking: 2 s, loading",
        "Speaking: 4 s, codes 1/9",
        "Speaking: 6 s, flow 1/9",
        "Speaking: 36 s, codes 2/9",
    ]


def test_a_short_job_prints_no_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_bar("Speaking") as on_stage:
        on_stage("loading")
    assert capsys.readouterr().err == ""


def weights(*words: str) -> Any:
    flags = runner.parse(["--checkpoint=x", *words], synth.define)
    return emotion_flags.parse(flags, "Good night.").weights


@pytest.mark.parametrize("name", EMOTIONS)
def test_weights_are_given_by_name(name: str) -> None:
    expected = tuple(0.5 * (other == name) for other in EMOTIONS)
    assert weights(f"--emotion_weights={name}=0.5") == expected
    assert Emotion(weights={name: 0.5}).weights == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("glad=0.5", "'glad' is not one of happy, angry"),
        ("happy=0.5,0.2", "eight numbers, or all by name"),
        ("happy=0.5,happy=0.2", "names an emotion twice"),
        ("happy=much", "must be numbers"),
        ("happy=nan", "must be 8 finite numbers"),
        ("0.5,0.2", "must be 8 finite numbers"),
    ],
)
def test_other_weights_are_refused(words: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        weights(f"--emotion_weights={words}")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"happy": 1.5}, "between 0 and 1, got happy 1.5"),
        ({"sad": -0.5, "calm": 2}, "got sad -0.5, calm 2"),
        ({"happy": 0.8, "sad": 0.8}, "sum to 1.6: above 1, the voice's own"),
        ({"happy": 1.0}, None),
        ({"happy": 0.5, "sad": 0.5}, None),
    ],
)
def test_weights_above_one_give_a_warning(
    given: dict[str, float], line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    found = weight_warnings(Emotion(weights=given))
    assert len(found) == (line is not None)
    if line is not None:
        assert line in found[0]
        words = ",".join(f"{name}={value}" for name, value in given.items())
        weights(f"--emotion_weights={words}")
        assert f"warning: {found[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["random", "-1"])
def test_a_random_seed_is_chosen(word: str) -> None:
    seeds = {chosen_seed(word) for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert runner.parse([f"--seed={word}"], synth.define).seed == word
    assert runner.parse(["--seed", word], synth.define).seed == word


@pytest.mark.parametrize("word", ["-2", "1.5", "x", str(2**32), "RANDOM"])
def test_another_seed_is_refused_before_anything_is_loaded(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_synth("--demo", f"--seed={word}") == 2
    assert "the seed must be 0 to 4294967295" in complaint(capsys)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--max_memory=lots"], "is not a memory size"),
        (["--output=a.xyz"], "expected one of .wav"),
        (["--duration=-1"], "duration"),
        (["--speaker=-"], "cannot come from standard input"),
        (["--steps=0"], "steps"),
    ],
)
def test_flags_are_checked_before_anything_is_loaded(
    words: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*arguments: Any) -> None:
        raise AssertionError("this should not be reached")

    monkeypatch.setattr(synth, "_open", load)
    assert run_synth("--demo", *words) == 2
    assert line in complaint(capsys)


class Bytes(io.TextIOWrapper):
    """Standard input with these bytes."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data))


@pytest.mark.parametrize("data", [b"Ein Hund.", b"\xef\xbb\xbfA dog.", "狗。".encode()])
def test_a_dash_is_standard_input(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Bytes(data))
    assert text_flags.read_text(Path("-")) == data.decode("utf-8-sig")


def test_standard_input_that_is_not_text_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Bytes(b"\xff\xfe\xff"))
    tokenizer = f"--tokenizer={support.CHECKPOINTS / 'bpe.model'}"
    assert run(preview, tokenizer, "--text_file=-") == 2
    assert "standard input is not UTF-8 text" in complaint(capsys)


@pytest.mark.parametrize("voice", ["anna.wav", Path("anna.wav"), "it's.wav"])
def test_a_recording_in_place_of_a_voice_is_answered_with_what_to_do(voice: Any) -> None:
    with pytest.raises(TypeError, match=r"need an analysed voice, got .*tts\.voice\("):
        tts_module._request("Hi.", voice)
    with pytest.raises(TypeError, match=r"tts\.voice\(RECORDING\) makes one"):
        tts_module._request("Hi.", None)


def test_a_recording_in_place_of_an_emotion_is_answered_with_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"an emotion is Emotion\(prompt=RECORDING\)"):
        tts_module._request("Hi.", object.__new__(Voice), emotion="sad.wav")


# Compiled programs are stored by default.

LOADING = """
import sys
from indextts_jax.runtime import cache_folder, executables
assert executables.active() is None
cache_folder.enable_by_default()
print(executables.active() and executables.active().folder)
executables.activate(None)
cache_folder.enable_by_default()
assert executables.active() is None
"""


@pytest.mark.parametrize("off", [False, True])
def test_loading_a_model_stores_compiled_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: bool
) -> None:
    monkeypatch.setenv(cache_folder.CACHE, cache_folder.OFF if off else str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", LOADING], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ("None" if off else str(tmp_path / "compiled"))


def test_the_decision_of_a_program_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def enable() -> None:
        raise AssertionError("it was decided")

    assert executables.chosen()  # by the tests
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", enable)
    cache_folder.enable_by_default()


@pytest.mark.parametrize("missing", ["httpx", "httpx2", "huggingface_hub", "tqdm"])
def test_the_package_that_is_missing_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = builtins.__import__

    def find(name: str, *more: Any, **options: Any) -> Any:
        if name.startswith("huggingface_hub"):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return usual(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", find)
    with pytest.raises(InputError, match=rf"downloading needs {missing}\b") as error:
        Hub.open()
    assert re.search(rf"pip install '?{missing}", str(error.value))


def test_an_output_that_was_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    speech = Speech(np.zeros(2205, np.float32), 22050, (Segment(1, 1, 1, False),), {"codes": 1.0})
    tts = mock.MagicMock()
    tts.speak.return_value = speech
    monkeypatch.setattr(synth, "_open", lambda *arguments: (tts, Settings(), RunConfig()))
    monkeypatch.setattr(synth, "Request", mock.MagicMock())
    monkeypatch.setattr(text_flags, "show_notices", lambda script: None)
    for replaced in (False, True):
        assert run_synth("--demo", "--output=a.wav", "--seed=random") == 0
        out = capsys.readouterr().out
        assert ("replaced a.wav" in out) == replaced
        assert re.search(r"Using seed \d+", out)


# Names in other encodings, sizes, a sample.


def test_the_sample_recording_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = runner.parse(["--speaker=demo"], synth.define)
    assert prompt_flags.speaker(flags) == demo.demo_speaker()
    (tmp_path / "demo").touch()
    assert prompt_flags.speaker(flags) == "demo"


@pytest.mark.parametrize("name", [b"m\xff", "modèle".encode("latin-1")])
def test_a_checkpoint_whose_name_is_not_utf8_is_refused_in_one_line(name: bytes) -> None:
    with pytest.raises(InputError, match="its name is not UTF-8 in this locale"):
        open_checkpoint(os.fsdecode(name))


@pytest.mark.parametrize("text", ["声音", "é", "plain"])
def test_text_that_the_locale_could_not_decode_is_read_as_utf8(text: str) -> None:
    garbled = text.encode().decode("ascii", "surrogateescape")
    assert runner.parse(["--text", garbled], synth.define).text == text


@pytest.mark.parametrize(
    ("key", "value"),
    [("gpt.layers", 10**9), ("dit.layers", 5000), ("gpt.width", 10**12), ("mel.n_fft", 10**10)],
)
def test_a_configuration_with_an_impossible_size_is_refused_at_once(
    tmp_path: Path, key: str, value: int
) -> None:
    data = yaml.safe_load((Path(__file__).parents[2] / "configs/tiny.yaml").read_text("utf-8"))
    section, name = key.split(".")
    data[section][name] = value
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match=r"expected at most|is not a multiple|must agree"):
        load_config(tmp_path / "a.yaml")


def test_an_empty_tokenizer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bpe.model").touch()
    assert run(preview, f"--tokenizer={tmp_path / 'bpe.model'}", "--text=a") == 2
    assert "bpe.model is empty: expected a SentencePiece model" in complaint(capsys)
