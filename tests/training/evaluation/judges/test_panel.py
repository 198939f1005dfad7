"""Several judges on a clip, and what they say of many: with judges that are no networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges import packages, panel
from indextts_jax.training.evaluation.judges.panel import Judged, Panel
from indextts_jax.training.evaluation.judges.quality import Quality
from indextts_jax.training.evaluation.judges.recogniser import Recogniser
from indextts_jax.training.evaluation.judges.words import WordErrors


def written(folder: Path, name: str, samples: Any, rate: int = 22_050) -> Path:
    soundfile.write(folder / name, np.asarray(samples, np.float32), rate, subtype="FLOAT")
    return folder / name


def direction(signal: np.ndarray) -> np.ndarray | None:
    """A "voice": which of two channels of a clip is louder is lost; its sign is not."""
    if not len(signal):
        return None
    return np.asarray([0.6, 0.8]) if signal.mean() > 0 else np.asarray([0.8, -0.6])


def test_every_judge_hears_the_same_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "word_errors", lambda *texts: WordErrors(4, 1, 0, 0))
    heard: list[np.ndarray] = []

    def recognise(signal: np.ndarray) -> str:
        heard.append(signal)
        return "so it was heard"

    clip = written(tmp_path, "a.wav", np.full((22_050, 2), [0.25, 0.75]))
    other = written(tmp_path, "b.wav", np.full(8_000, -0.5), 8_000)
    judges = Panel(recognise, direction, lambda signal: float(signal.max()))
    assert judges
    found = judges.judge(clip, "as it was said", other)
    (signal,) = heard
    assert signal.shape == (16_000,)
    np.testing.assert_allclose(signal[2000:14_000], 0.5, atol=1e-4)
    assert found.heard == "so it was heard"
    assert found.similarity == pytest.approx(0.0)
    assert judges.judge(clip, "", clip).similarity == pytest.approx(1.0)
    assert judges.judge(clip, "").similarity is None
    assert judges.metric == "word error rate + 1 - speaker similarity"


def test_silent_clip_has_similarity_zero(tmp_path: Path) -> None:
    empty, clip = written(tmp_path, "e.wav", []), written(tmp_path, "c.wav", np.ones(9000))
    judges = Panel(embed=direction)
    assert judges.judge(empty, "a", clip).similarity == 0.0
    with pytest.raises(InputError, match=r"e\.wav is too short for a speaker comparison"):
        judges.judge(clip, "a", empty)


def test_non_audio_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(InputError, match=r"text\.wav is not audio that can be read"):
        panel.read_signal(tmp_path / "text.wav")
    with pytest.raises(InputError, match=r"none\.wav cannot be read: No such file"):
        panel.read_signal(tmp_path / "none.wav")


def test_joined_clips_are_judged_to_the_end(tmp_path: Path) -> None:
    path = written(tmp_path, "a.wav", np.ones(9000))
    single = len(panel.read_signal(path))
    path.write_bytes(2 * path.read_bytes())
    assert abs(len(panel.read_signal(path)) - 2 * single) <= 1


def test_numbers_over_all_clips() -> None:
    found = [
        Judged("a", "", words=WordErrors(6, 1, 2, 0), similarity=0.5, quality=2.0),
        Judged("b", "", words=WordErrors(2, 0, 0, 1), similarity=0.75),
    ]
    values = panel.summary(found)
    assert values == {
        "wer": 0.5,
        "substitutions": 0.125,
        "deletions": 0.25,
        "insertions": 0.125,
        "similarity": 0.625,
        "quality": 2.0,
    }
    assert panel.score(values) == 0.875
    assert panel.score({"quality": 2.0}) == 3.0
    assert panel.summary([Judged("a", "")]) == {}
    assert not Panel()


def test_missing_packages_and_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"model\.bin is missing"):
        Recogniser(tmp_path)

    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(packages.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"needs the package onnxruntime.*indextts-jax\[judge\]"):
        Quality()
