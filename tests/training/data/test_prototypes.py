"""Emotion prototypes out of labelled clips."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import speech_sets
import support
from command_runs import run_import

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.config import EMOTIONS
from indextts_jax.errors import Failure, InputError
from indextts_jax.runtime.model import load_model
from indextts_jax.training.data import prototypes
from indextts_jax.training.data.prototypes import Label
from indextts_jax.voices import analysis


def table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(["audio,emotion,speaker", *lines]))
    return path


def test_labels_are_read_and_each_emotion_is_needed(tmp_path: Path) -> None:
    lines = [f"{name}.wav,{name},anna" for name in EMOTIONS]
    labels = prototypes.read_labels(table(tmp_path, *lines))
    assert labels[1] == Label(tmp_path / "angry.wav", "angry", "anna")
    wrong = table(tmp_path, *lines[1:], ",calm,anna", "x.wav,Happy,anna")
    with pytest.raises(InputError) as error:
        prototypes.read_labels(wrong)
    for told in ("line 9: no audio", "'Happy' is not one", "no clip of happy"):
        assert told in str(error.value)


def heard(monkeypatch: pytest.MonkeyPatch, value: float = 0.0) -> None:
    """Vectors that are numbers in the names of recordings."""

    def vector(path: Path) -> np.ndarray:
        return np.asarray([[float(path.stem) + value, 1.0]])

    monkeypatch.setattr(analysis, "speaker_signals", lambda path, cfg: SimpleNamespace(narrow=path))
    monkeypatch.setattr(analysis, "analyse_style", lambda model, path: 10 * vector(path))
    monkeypatch.setattr(
        analysis, "analyse_emotion", lambda model, path: SimpleNamespace(vector=vector(path))
    )


def labelled() -> list[Label]:
    others = [Label(Path("5.wav"), name, "anna") for name in EMOTIONS[2:]]
    pairs = [(1, "angry", "anna"), (2, "happy", "bob"), (3, "happy", "anna"), (5, "happy", "bob")]
    return [Label(Path(f"{n}.wav"), emotion, name) for n, emotion, name in pairs] + others


def test_row_is_the_mean_of_clips_of_one_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    heard(monkeypatch)
    model: Any = SimpleNamespace(config=None)
    made = prototypes.make(model, labelled())
    assert made.groups == (2, 1, 1, 1, 1, 1, 1, 1)
    emotion = np.asarray(made.params["emotion"])
    # Anna comes first in the table, so her row does in each emotion.
    np.testing.assert_array_equal(emotion[:4, 0], [3, 3.5, 1, 5])
    np.testing.assert_array_equal(np.asarray(made.params["speaker"]), 10 * emotion)
    heard(monkeypatch, np.nan)
    with pytest.raises(Failure, match=r"1\.wav: its vectors are not finite"):
        prototypes.make(model, labelled())


@pytest.mark.nightly
def test_a_checkpoint_gets_them_and_all_else_stays(tmp_path: Path) -> None:
    assert run_import("--src", support.CHECKPOINTS, "--dst", tmp_path / "tiny") == 0
    lines = []
    for number, name in enumerate([*EMOTIONS, "happy"]):
        soundfile.write(tmp_path / f"{number}.wav", speech_sets.speech(2.0, number), 22050)
        lines.append(f"{number}.wav,{name},s{number // 8}")
    labels = prototypes.read_labels(table(tmp_path, *lines))
    saved = open_checkpoint(tmp_path / "tiny")
    model = load_model(tmp_path / "tiny", components=prototypes.COMPONENTS, lazy=True)
    prototypes.write(saved, prototypes.make(model, labels), tmp_path / "new")
    new = open_checkpoint(tmp_path / "new")
    assert new.config.emotion_prototypes.groups == (2, *[1] * 7)
    assert new.components == saved.components
    others = [name for name in saved.components if name != prototypes.NAME]
    assert new.provenance.fingerprint(others) == saved.provenance.fingerprint(others)
    # A voice finds the row that was made of its own recording.
    small = load_model(tmp_path / "new", components=("style_encoder", prototypes.NAME), lazy=True)
    signals = analysis.speaker_signals(tmp_path / "8.wav", new.config)
    style = analysis.analyse_style(small, signals.narrow)
    rows = small.run_stage(prototypes.NAME, "rows", style)
    assert np.asarray(rows)[0].tolist() == [1, *[0] * 7]
