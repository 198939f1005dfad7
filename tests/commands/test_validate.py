"""The validate command: its outcome, its certificate, and what it refuses."""

import json
from pathlib import Path

import golden_copies
import numpy as np
import pytest
import support

from indextts_jax import validate
from indextts_jax.cli import runner
from indextts_jax.runtime import cache_folder

ONE = "--component=semantic_codec"


@pytest.fixture(scope="module")
def tiny_checkpoint() -> Path:
    return golden_copies.shared()


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)


def run(checkpoint: Path, golden: Path, *more: str) -> int:
    return runner.execute(
        validate.main,
        validate.define,
        name="validate",
        summary="",
        common=validate.COMMON,
        argv=[f"--checkpoint={checkpoint}", f"--golden={golden}", *more],
    )


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The one line of a command that was refused."""
    assert code == runner.BAD_INPUT
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert " pass\n" not in printed.out
    return line


def certificate() -> dict:
    return json.loads(Path("c.json").read_text())


def published(name: str) -> tuple[Path, list[str]]:
    return support.CHECKPOINTS / name, ["codec"]


def test_certificate_names_both_sides(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path)
    model = "semantic_codec/model.safetensors"
    about = golden_copies.recorded(folder, **{model: published(model)})
    assert run(tiny_checkpoint, folder, ONE, "--certificate=c.json", "--device=cpu") == 0
    made = certificate()
    assert (made["verdict"], made["complete"], made["component"]) == (
        "pass",
        False,
        "semantic_codec",
    )
    assert made["arrays"] == {"compared": 4, "passed": 4, "integers": 1, "integers_equal": 1}
    assert made["same_sources"] is True
    assert made["golden"]["versions"] == about["versions"]
    assert made["program"]["compute_dtype"] == "float32"
    assert made["checkpoint"]["stored_dtype"] == "float32"
    assert set(made["checkpoint"]["components"]) >= {"gpt", "dit", "vocoder"}
    (stage,) = made["stages"]
    assert (stage["stage"], stage["arrays"], stage["passed"]) == ("codec", 4, 4)
    assert made["worst_stage"] == "codec"
    out = capsys.readouterr().out
    assert "verdict" in out
    assert "PASS (of semantic_codec alone)" in out
    assert "recorded from the same files" in out


def test_unrecorded_stages_are_reported_and_others_pass(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    assert run(tiny_checkpoint, folder, "--certificate=c.json", "--device=cpu") == 0
    made = certificate()
    assert (made["verdict"], made["complete"]) == ("pass", False)
    assert made["not_recorded"]["gpt"] == made["not_recorded"]["end_to_end"] == "not recorded"
    assert made["same_sources"] is None
    out = capsys.readouterr().out
    assert any(line.startswith("gpt ") and "not recorded" in line for line in out.splitlines())
    assert "not compared" in out


def test_a_differing_integer_fails_and_is_judged_by_its_margin(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path)
    codes = support.golden("codec")["codes"].copy()
    margins = np.full(codes.shape, 0.25, np.float32)
    margins[0, 11] = 3e-7
    codes[0, 11] = (codes[0, 11] + 1) % 7
    golden_copies.altered(folder, "codec", codes=codes, codes_margins=margins)
    assert (
        run(tiny_checkpoint, folder, ONE, "--certificate=c.json", "--device=cpu") == runner.FAILURE
    )
    made = certificate()
    assert made["verdict"] == "fail"
    # Features of the recorded codes are compared too, and were recorded for the right ones.
    failures = {failure["array"]: failure for failure in made["failures"]}
    assert set(failures) == {"codec.codes", "codec.vq2emb"}
    note = failures["codec.codes"]["note"]
    assert "first at (0, 11)" in note
    assert f"step 12 of {codes.shape[1]}" in note
    assert "preferred its choice there by 3.0e-07" in note
    assert failures["codec.codes"]["share_equal"] == pytest.approx(1 - 1 / codes.size)
    assert made["worst_stage"] == "codec"
    assert "FAIL" in capsys.readouterr().out


def test_values_from_other_files_are_refused(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path)
    other = support.DATA / "second/checkpoints/semantic_codec/model.safetensors"
    golden_copies.recorded(folder, **{"semantic_codec/model.safetensors": (other, ["codec"])})
    line = refused(capsys, run(tiny_checkpoint, folder, ONE, "--certificate=c.json"))
    assert "was recorded from other files" in line
    assert "semantic_codec/model.safetensors" in line
    assert not Path("c.json").exists()


def test_other_source_files_are_noted_in_the_certificate(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path)
    other = support.DATA / "second/checkpoints/semantic_codec/model.safetensors"
    golden_copies.recorded(folder, **{"semantic_codec/model.safetensors": (other, ["codec"])})
    arguments = (ONE, "--nosame_files", "--certificate=c.json", "--device=cpu")
    assert run(tiny_checkpoint, folder, *arguments) == 0
    assert certificate()["other_sources"] == ["semantic_codec/model.safetensors"]
    assert certificate()["same_sources"] is False
    assert "NOT those of the golden directory" in capsys.readouterr().out


def test_other_files_behind_stages_that_are_not_compared_do_not_matter(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    folder = golden_copies.copied(tmp_path)
    other = support.DATA / "second/checkpoints/gpt.pth"
    golden_copies.recorded(folder, **{"gpt.pth": (other, ["gpt"])})
    assert run(tiny_checkpoint, folder, ONE, "--device=cpu") == 0


def test_damage_is_found_before_anything_is_computed(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path)
    path = folder / "tensors" / "cfm.npz"
    path.write_bytes(path.read_bytes()[:-100])
    line = refused(capsys, run(tiny_checkpoint, folder, ONE))
    assert "cfm.npz cannot be read" in line


def test_nothing_but_a_certificate_is_replaced(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    Path("c.json").write_text('{"kind": "a shopping list"}')
    line = refused(capsys, run(tiny_checkpoint, folder, "--certificate=c.json"))
    assert "is not a certificate: it is not replaced" in line
    assert "shopping" in Path("c.json").read_text()
    Path("c.json").write_text('{"kind": "indextts_jax validation certificate"}')
    assert run(tiny_checkpoint, folder, "--certificate=c.json", "--device=cpu") == 0
    assert certificate()["verdict"] == "pass"


def test_a_certificate_needs_a_folder(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    line = refused(capsys, run(tiny_checkpoint, folder, "--certificate=nowhere/c.json"))
    assert "nowhere is not a directory" in line
