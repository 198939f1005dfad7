"""Every array of both golden sets: stage by stage, and in one run from audio files to waveform."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from models_under_test import SETS, model
from tolerances import VALIDATION

from indextts_jax.errors import InputError
from indextts_jax.runtime import executables
from indextts_jax.validation.compare import Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.gpt import Prompt, left_padded
from indextts_jax.validation.report import run_end_to_end, run_stage, validate
from indextts_jax.validation.stages import STAGES

BY_FILE = {stage.file: stage for stage in STAGES}
# The second set is a second opinion: of other sizes.
BOTH = ["tiny", pytest.param("second", marks=pytest.mark.nightly)]


@pytest.fixture(scope="module", autouse=True)
def _rounded_as_for_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stages with XLA's emitters of fusions, which the default run leaves out: others round more.

    They are kept apart from those of the other tests.
    """
    compile_stage = jax.stages.Lowered.compile

    def with_emitters(self: Any) -> jax.stages.Compiled:
        return compile_stage(self, compiler_options={"xla_cpu_use_fusion_emitters": True})

    store = executables.active()
    executables.activate(tmp_path_factory.mktemp("kept"))
    with pytest.MonkeyPatch.context() as patch:
        if "xla_cpu_use_fusion_emitters=false" in os.environ.get("XLA_FLAGS", ""):
            patch.setattr(jax.stages.Lowered, "compile", with_emitters)
        yield
    executables.activate(store and store.folder)


def within(row: Comparison, bounds: tuple[float, float]) -> bool:
    return row.rms <= bounds[0] and row.largest <= bounds[1]


def check(name: str, rows: list[Comparison]) -> None:
    """Fails, naming each array that is worse than its tolerance."""
    bounds = VALIDATION[name]
    worse = [
        row
        for row in rows
        if not row.passed
        or ((row.rms, row.largest) != (0, 0) and not within(row, bounds[row.name]))
    ]
    assert not worse, worse


@pytest.mark.parametrize("file", BY_FILE)
@pytest.mark.parametrize("name", BOTH)
def test_every_array_of_a_stage_is_the_reference_s(name: str, file: str) -> None:
    golden = Golden(SETS[name])
    rows, arrays = run_stage(BY_FILE[file], model(name), golden)
    check(name, rows)
    recorded = golden.arrays(file)
    assert {n: (a.shape, a.dtype) for n, a in arrays.items()} == {
        n: (a.shape, a.dtype) for n, a in recorded.items()
    }


@pytest.mark.parametrize("name", BOTH)
def test_one_run_from_audio_files_to_waveform_is_the_reference_s(name: str) -> None:
    golden = Golden(SETS[name])
    rows, arrays = run_end_to_end(model(name), golden)
    check(name, rows)
    assert set(arrays) == set(golden.arrays("end_to_end"))


def altered(tmp_path: Path, file: str, **arrays: np.ndarray) -> Path:
    """A copy of the tiny set in which some arrays of one file are others."""
    folder = tmp_path / "golden"
    shutil.copytree(SETS["tiny"], folder, ignore=shutil.ignore_patterns("checkpoints"))
    path = folder / "tensors" / f"{file}.npz"
    path.chmod(0o644)
    with np.load(path) as data:
        old = dict(data)
    np.savez(path, **(old | arrays))
    return folder


def test_a_wrong_array_fails_and_the_dump_is_our_own(tmp_path: Path) -> None:
    right = Golden(SETS["tiny"])["codec", "encoder_out"]
    folder = altered(tmp_path, "codec", encoder_out=np.zeros_like(right) + 7)
    rows = list(
        validate(
            lambda names: model("tiny"), Golden(folder), "semantic_codec", dump=tmp_path / "dump"
        )
    )
    assert {row.name for row in rows if not row.passed} == {"codec.encoder_out"}
    dumped = np.load(tmp_path / "dump" / "tensors" / "codec.npz")["encoder_out"]
    assert np.abs(dumped - right).max() < 1e-4


def test_an_array_that_no_stage_knows_fails(tmp_path: Path) -> None:
    folder = altered(tmp_path, "codec", surprise=np.zeros(3))
    rows = list(validate(lambda names: model("tiny"), Golden(folder), "semantic_codec"))
    assert {row.name for row in rows if not row.passed} == {"codec.surprise"}


def test_a_stage_that_cannot_run_fails_and_the_others_go_on(tmp_path: Path) -> None:
    folder = altered(tmp_path, "gpt_latent", codes=np.zeros((1, 2, 3), np.int64))
    watched: list[str] = []
    rows = list(
        validate(
            lambda names: model("tiny"), Golden(folder), "length_regulator", on_stage=watched.append
        )
    )
    assert watched == ["length_regulator"]
    assert [row.name for row in rows if not row.passed] == ["length_regulator"]
    assert rows[0].note


def test_start_and_stop_ids_in_text_are_dropped_like_the_reference() -> None:
    tiny = model("tiny")
    golden = Golden(SETS["tiny"])
    latents, emotion = golden["gpt", "speaker_latents"], golden["gpt", "emovec"]
    plain = np.asarray([[5, 7, 11]], np.int32)
    marked = np.asarray([[5, 0, 7, 1, 11]], np.int32)
    short, _ = left_padded(tiny, Prompt(latents, emotion), plain)
    padded, mask = left_padded(tiny, Prompt(latents, emotion), marked)
    assert np.array_equal(padded[:, 2:], short)
    assert not padded[:, :2].any()
    assert mask[0, :3].tolist() == [0, 0, 1]


def test_tolerances_can_be_set() -> None:
    rows = list(
        validate(
            lambda names: model("tiny"), Golden(SETS["tiny"]), "semantic_codec", atol=0.0, rtol=0.0
        )
    )
    assert {row.name for row in rows if row.passed} == {"codec.codes"}


def test_only_the_components_of_the_stage_are_loaded() -> None:
    asked = []

    def load(names):  # type: ignore[no-untyped-def]
        asked.append(list(names))
        return model("tiny")

    list(validate(load, Golden(SETS["tiny"]), "semantic_codec"))
    assert asked == [["semantic_codec"]]


def test_an_unknown_component_is_an_error() -> None:
    with pytest.raises(InputError, match="must be one of"):
        list(validate(lambda names: model("tiny"), Golden(SETS["tiny"]), "toaster"))


def test_directory_without_tensors_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a golden directory"):
        Golden(tmp_path)
