"""Every array of the golden sets of version 2.5: stage by stage, and in runs to the waveform."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import support
from models_under_test import SETS, model
from tolerances import VALIDATION

from indextts_jax.errors import InputError
from indextts_jax.models.length_regulator import stretched_length
from indextts_jax.validation import gpt
from indextts_jax.validation.checks import CHECKS
from indextts_jax.validation.compare import Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.report import comparable, run_end_to_end, run_stage
from indextts_jax.validation.v25.runs import Recorded, codes_of, joined, segments
from indextts_jax.validation.whole import run_validation

GOLDEN = SETS["tiny25"]
STAGES = {stage.file: stage for stage in CHECKS["2.5"].stages}
RUNS = {run.file: run for run in CHECKS["2.5"].runs}
# What version 2 has too is compiled in the nightly run, and so are the searches of the GPT, whose
# prefix and logits `training/versions/test_v25.py` compares.
NEW = ("text", "codec", "conditioning", "emotion_vector", "length_regulator")
# Of the second set, of other sizes, what costs next to nothing is in the default run.
CHEAP = ("emotion_vector",)


def of_both(files: Iterable[str], default: tuple[str, ...], second: tuple[str, ...]) -> list[Any]:
    """Sets and files of them that were recorded; those that are not named are nightly."""
    found: list[Any] = []
    for name, quick in (("tiny25", default), ("second25", second)):
        for file in files:
            if (SETS[name] / "tensors" / f"{file}.npz").exists():
                marks = [] if file in quick else [pytest.mark.nightly]
                found.append(pytest.param(name, file, marks=marks, id=f"{name}-{file}"))
    return found


def check(name: str, rows: list[Comparison]) -> None:
    bounds = VALIDATION[name]
    worse = [
        row
        for row in rows
        if not row.passed
        or (
            (row.rms, row.largest) != (0, 0)
            and (row.rms > bounds[row.name][0] or row.largest > bounds[row.name][1])
        )
    ]
    assert rows
    assert not worse, worse


@pytest.mark.parametrize(("name", "file"), of_both(STAGES, NEW, CHEAP))
def test_every_array_of_a_stage_is_the_reference_s(name: str, file: str) -> None:
    golden = Golden(SETS[name])
    rows, arrays = run_stage(STAGES[file], model(name), golden)
    check(name, rows)
    expected = golden.arrays(file)
    assert {n: (a.shape, a.dtype) for n, a in arrays.items()} == {
        n: (a.shape, a.dtype) for n, a in expected.items()
    }


@pytest.mark.parametrize(("name", "file"), of_both(RUNS, (), ()))
def test_a_run_from_audio_files_to_waveform_is_the_reference_s(name: str, file: str) -> None:
    check(name, run_end_to_end(model(name), Golden(SETS[name]), RUNS[file])[0])


@pytest.mark.parametrize(("name", "file"), of_both(RUNS, tuple(RUNS), tuple(RUNS)))
def test_the_segments_of_a_run_are_the_reference_s(name: str, file: str) -> None:
    recorded = Recorded(Golden(SETS[name]), file)
    if str(recorded["lang"]).lower() == "ja":
        pytest.importorskip("fugashi", reason="Japanese needs its packages")
    found = segments(model(name), recorded)
    assert len(found) == recorded.count
    for index, (ids, language) in enumerate(found):
        assert [*ids, 1] == recorded[f"ids_{index}"][0].tolist()
        assert language == recorded["lang_id"][0]


@pytest.mark.parametrize("file", RUNS)
def test_segments_are_joined_as_in_the_reference(file: str) -> None:
    recorded = Recorded(Golden(GOLDEN), file)
    waves = [recorded[f"wav_{index}"] for index in range(recorded.count)]
    pause = recorded.settings.get("interval_silence", 200) / 1000
    np.testing.assert_array_equal(joined(waves, pause, 22050), recorded["wav_int16"])


@pytest.mark.parametrize("index", [0, 1])
def test_each_segment_has_its_own_draws(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(Golden(GOLDEN), "end_to_end_default")
    monkeypatch.setattr(gpt, "decoded", lambda *given: given[-1])
    monkeypatch.setattr(gpt, "with_stop", lambda draws: draws)
    line: Any = SimpleNamespace(
        tokens=[2], voice=SimpleNamespace(latents=None), emotion=None, language=1
    )
    found = codes_of(model("tiny25"), line, recorded, index)
    np.testing.assert_array_equal(found, recorded[f"exponential_{index}"])


def test_a_set_is_known_by_its_arrays(tmp_path: Path) -> None:
    assert Golden(GOLDEN).version == "2.5"
    assert Golden(SETS["tiny"]).version == "2.0"
    assert set(comparable(Golden(GOLDEN)).values()) == {""}
    folder = tmp_path / "audio"
    (folder / "tensors").mkdir(parents=True)
    for name in ("speaker.wav", "emotion.wav", "tensors/end_to_end.npz"):
        shutil.copyfile(GOLDEN / name, folder / name)
    assert Golden(folder).version == "2.5"


def test_arrays_of_the_other_version_are_refused(tmp_path: Path) -> None:
    import golden_copies
    import jax

    with pytest.raises(InputError, match=r"was recorded from IndexTTS-2\.5, but .* is IndexTTS-2:"):
        run_validation(
            golden_copies.shared(), Golden(GOLDEN), "vocoder", device=jax.devices("cpu")[0]
        )


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25, 1.3, 2.0])
def test_frames_are_truncated_in_double_precision(factor: float) -> None:
    for codes in range(1, 1501):
        assert stretched_length(codes, 3.44, factor) == int((2 * codes * 1.72) * factor)


def test_the_recorded_texts_are_those_of_the_set() -> None:
    rows = [json.loads(line) for line in (GOLDEN / "text.jsonl").read_text("utf-8").splitlines()]
    recorded = Golden(GOLDEN).arrays("text")
    for number in range(10):
        assert rows[number]["ids"][0] == recorded[f"ids_{number:02}"].tolist()
    assert support.DATA / "tiny25" == GOLDEN
