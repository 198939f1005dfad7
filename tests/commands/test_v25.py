"""The commands on a checkpoint of IndexTTS-2.5: each at work, as on one of version 2."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from command_runs import SPOKEN, run_import, run_synth
from models_under_test import SETS

from indextts_jax import plan, preview, replay, show, validate, voice, warmup
from indextts_jax.audio.output import read_comment
from indextts_jax.cli import runner
from indextts_jax.engine import recipe
from indextts_jax.runtime import cache_folder

TINY = SETS["tiny25"]
SHORT = ("--seed=1", "--steps=1", "--max_codes=8", "--text=hola a todos", "--language=es")

pytestmark = pytest.mark.nightly


def run(module: ModuleType, *argv: object) -> int:
    """A command, in this process, as a user runs it."""
    return runner.execute(
        module.main,
        module.define,
        name="",
        summary="",
        common=module.COMMON,
        positional=getattr(module, "POSITIONAL", ()),
        argv=[str(word) for word in argv],
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("v25")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache_folder.CACHE, str(folder / "cache"))
        target = folder / "model"
        assert run_import("--src", TINY / "checkpoints", "--dst", target) == 0
        yield target


def spoken(checkpoint: Path, out: Path, *more: str) -> np.ndarray:
    paths = (f"--checkpoint={checkpoint}", f"--output={out}")
    assert run_synth(*paths, *SHORT, *more) in SPOKEN
    samples: np.ndarray = soundfile.read(out, dtype="int16")[0]
    return samples


def test_a_kept_voice_speaks_and_a_replay_gives_the_same_bits(
    checkpoint: Path, tmp_path: Path
) -> None:
    speaker, kept = TINY / "speaker.wav", tmp_path / "anna.safetensors"
    first = spoken(checkpoint, tmp_path / "a.wav", f"--speaker={speaker}")
    made = recipe.from_comment(read_comment(tmp_path / "a.wav"), "a.wav")
    assert made.language == "es"
    given = (f"--checkpoint={checkpoint}", f"--speaker={speaker}")
    assert run(voice, "create", kept, *given) == 0
    second = spoken(checkpoint, tmp_path / "b.wav", f"--voice={kept}")
    np.testing.assert_array_equal(first, second)
    assert run(replay, tmp_path / "a.wav", *given) == 0


def test_a_plan_is_calibrated_and_a_warmup_compiles(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (f"--checkpoint={checkpoint}", *SHORT[1:3])
    text = ("--text=hola a todos", "--language=es")
    assert run(plan, *given, *text, f"--speaker={TINY / 'speaker.wav'}", "--calibrate") == 0
    printed = capsys.readouterr().out
    assert re.search(r"s for a second of audio in \d+ run", printed)
    assert "unknown" not in printed
    assert run(warmup, *given, f"--speaker={TINY / 'speaker.wav'}") == 0


def test_several_texts_in_a_batch_are_written(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("hola\n\n\n今日は\n")
    paths = (f"--checkpoint={checkpoint}", f"--output={tmp_path / 'a.wav'}")
    speaker, text = f"--speaker={TINY / 'speaker.wav'}", f"--text_file={tmp_path / 'lines.txt'}"
    assert run_synth(*paths, *SHORT[:3], speaker, text, "--language=es", "--batch=2") in SPOKEN
    assert soundfile.info(tmp_path / "a.wav").frames > 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_it_speaks_in_less_precision(checkpoint: Path, dtype: str, tmp_path: Path) -> None:
    spoken(checkpoint, tmp_path / "a.wav", f"--speaker={TINY / 'speaker.wav'}", f"--dtype={dtype}")
    assert soundfile.info(tmp_path / "a.wav").frames > 0


def test_preview_and_show_name_version_and_language(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(preview, f"--checkpoint={checkpoint}", "--text=¿Qué hora es?") == 0
    assert "es" in capsys.readouterr().out
    assert run(show, checkpoint) == 0
    assert "2.5" in capsys.readouterr().out


@pytest.mark.parametrize("component", ["gpt", "length_regulator"])
def test_a_certificate_names_the_component(
    checkpoint: Path, component: str, tmp_path: Path
) -> None:
    path = tmp_path / "certificate.json"
    given = (f"--checkpoint={checkpoint}", f"--golden={TINY}", f"--component={component}")
    assert run(validate, *given, f"--certificate={path}") == 0
    assert component in path.read_text()
