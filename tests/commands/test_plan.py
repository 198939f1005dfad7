"""The plan command: what a text will take, and the speeds that it knows."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import jax.numpy as jnp
import pytest
import support

from indextts_jax import plan as command
from indextts_jax.cli import runner
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.planning import speed_log
from indextts_jax.planning.memory import Need
from indextts_jax.planning.plan import SpeechPlan, format_plan, planned
from indextts_jax.planning.speed_log import KEPT, SpeedSetting, known, note
from indextts_jax.runtime import cache_folder
from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.voices.analysis import Voice

SETTING = SpeedSetting(
    device="cpu",
    machine="m",
    config="c",
    dtype="float32",
    batch=1,
    beams=3,
    steps=25,
    guided=True,
)

pytestmark = pytest.mark.usefixtures("nothing_kept")  # whether programs are at hand decides


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache_folder.CACHE, str(tmp_path))
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)


@pytest.fixture
def tts() -> IndexTTS:
    params = {"gpt": {"nothing": jnp.zeros(1)}}
    tokenizer = Tokenizer(support.CHECKPOINTS / "bpe.model")
    return IndexTTS(Model(support.tiny_config(), params, tokenizer))


def test_a_speed_that_was_never_measured_is_not_known() -> None:
    assert known(SETTING) is None


def test_a_speed_is_the_median_of_its_own_setting() -> None:
    for compute in (10.0, 30.0, 20.0):
        note(SETTING, audio=10.0, compute=compute)
    note(dataclasses.replace(SETTING, dtype="bfloat16"), audio=10.0, compute=1.0)
    assert known(SETTING) == (2.0, 1.0, 3.0, 3)


def test_useless_measurements_are_not_kept() -> None:
    note(SETTING, audio=0.01, compute=3.0)
    note(SETTING, audio=3.0, compute=-1.0)
    assert known(SETTING) is None


def test_the_latest_measurements_are_kept() -> None:
    for number in range(KEPT + 5):
        note(SETTING, audio=1.0, compute=number + 1.0)
    speed = known(SETTING)
    assert speed is not None
    assert (speed.runs, speed.least, speed.most) == (KEPT, 6, KEPT + 5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"measured": [{}]}', '{"measured": 3}'])
def test_damaged_file_is_ignored(text: str) -> None:
    speed_log.path().write_text(text)
    assert known(SETTING) is None
    note(SETTING, audio=1.0, compute=1.0)
    assert known(SETTING) is not None


def test_unknown_figures_are_reported(tts: IndexTTS) -> None:
    settings = Settings()
    made = planned(tts, tts.script("the cat sat.", settings), settings, compiles=False)
    assert (made.segments, made.speed, made.seconds, made.speaking) == (1, None, None, None)
    told = "\n".join(format_plan(made))
    assert "time      unknown: this device has not yet spoken" in told
    assert "memory    unknown: the programs are not compiled yet" in told


def test_the_time_is_that_of_the_audio_at_the_measured_speed(tts: IndexTTS) -> None:
    settings = Settings()
    note(SpeedSetting.of(tts.model, settings, tts.model.device, segments=1), audio=1.0, compute=0.5)
    made = planned(tts, tts.script("the cat sat.", settings), settings, compiles=False)
    assert made.seconds == tuple(0.5 * seconds for seconds in made.audio)
    assert made.audio[1] < made.audio[0] < made.audio[2]


@pytest.mark.parametrize(("batch", "texts", "at_once"), [(1, 1, 1), (4, 4, 4), (4, 3, 3)])
def test_the_speed_is_that_of_as_many_segments_as_go_at_once(
    tts: IndexTTS, monkeypatch: pytest.MonkeyPatch, batch: int, texts: int, at_once: int
) -> None:
    spoken: list[int] = []

    def many(self: IndexTTS, requests: Any) -> list[Any]:
        assert {request.settings.batch for request in requests} == {batch}
        spoken.append(len(requests))
        return [SimpleNamespace(duration=2.0)] * len(requests)

    monkeypatch.setattr(IndexTTS, "speak_many", many)
    settings = Settings(batch=batch)
    speed_log.measure(tts, mock.NonCallableMock(spec=Voice), ["cat."] * texts, settings)

    assert spoken == [texts, texts]
    (kept,) = speed_log.measurements()
    assert (kept.setting.batch, kept.audio) == (at_once, 2.0 * texts)


def test_plan_is_printed() -> None:
    need = Need(2 * 10**9, 10**9, "dit flow")
    speed = speed_log.Speed(0.5, 0.4, 0.6, 3)
    told = format_plan(
        SpeechPlan("CPU", "float32", 1, 40, 900, (7200.0, 3600.0, 10800.0), speed, need, need)
    )
    assert told[2] == "audio     about 2 h 00 min (60 min to 3 h 00 min)"
    assert told[3].startswith(
        "time      about 60 min (24 min to 108 min), without compilation: 0.50"
    )
    assert told[4] == "memory    3.00 GB (2.00 GB of parameters, 1.00 GB for dit flow)"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--text=a"], "give --checkpoint DIR"),
        (["--checkpoint=x"], "give either --text or --text_file"),
        (
            ["--checkpoint=x", "--text=a", "--calibrate"],
            "--calibrate needs either --speaker or --voice",
        ),
        (["--checkpoint=x", "--text=a", "--max_memory=much"], "is not a memory size"),
        (["--checkpoint=none", "--text=a"], "none does not exist"),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = runner.execute(
        command.main, command.define, name="plan", summary="", common=command.COMMON, argv=argv
    )
    assert code == 2
    assert told in capsys.readouterr().err
