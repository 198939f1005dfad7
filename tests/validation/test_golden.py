"""Golden directories: what is recorded, and what is wrong with one."""

from pathlib import Path

import golden_copies
import numpy as np
import pytest
from models_under_test import model

from indextts_jax.errors import InputError
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.gpt import Searches
from indextts_jax.validation.report import not_recorded, validate
from indextts_jax.validation.stages import STAGES


def test_a_whole_set_lacks_nothing(tmp_path: Path) -> None:
    assert not_recorded(Golden(golden_copies.copied(tmp_path))) == {}


def test_unrecorded_stages_are_named_and_skipped(tmp_path: Path) -> None:
    golden = Golden(golden_copies.copied(tmp_path, ["codec"]))
    missing = not_recorded(golden)
    assert set(missing) == {stage.file for stage in STAGES} - {"codec"} | {"end_to_end"}
    assert set(missing.values()) == {"not recorded"}
    rows = list(validate(lambda names: model("tiny"), golden))
    assert {row.name for row in rows} == {
        "codec.codes",
        "codec.encoder_out",
        "codec.quantized",
        "codec.vq2emb",
    }
    assert all(row.passed for row in rows)


def test_a_stage_without_the_inputs_of_another_file_cannot_be_compared(tmp_path: Path) -> None:
    golden = Golden(golden_copies.copied(tmp_path, ["campplus"]))
    assert not_recorded(golden, "style_encoder") == {
        "campplus": "cannot be compared: audio not recorded"
    }


def test_a_component_that_is_not_recorded_is_an_error(tmp_path: Path) -> None:
    golden = Golden(golden_copies.copied(tmp_path, ["codec"]))
    with pytest.raises(InputError, match=r"nothing to compare \(bigvgan: not recorded\)"):
        list(validate(lambda names: model("tiny"), golden, "vocoder"))


def test_no_arrays_at_all_are_an_error(tmp_path: Path) -> None:
    golden = Golden(golden_copies.copied(tmp_path, []))
    with pytest.raises(InputError, match="nothing was recorded"):
        golden.check()


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_file_is_an_error(tmp_path: Path, damage: str) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    path = folder / "tensors" / "codec.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(
        {"cut": bytes(data[: len(data) // 2]), "flipped": bytes(data), "text": b"no"}[damage]
    )
    with pytest.raises(InputError, match=r"codec\.npz cannot be read"):
        Golden(folder).check()


def test_a_pickle_in_a_file_is_not_run(tmp_path: Path) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    golden_copies.altered(folder, "codec", codes=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"codec\.npz cannot be read"):
        Golden(folder).check()


def test_the_record_of_a_dump_finds_a_changed_prompt(tmp_path: Path) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    golden_copies.recorded(folder)
    Golden(folder).check()
    with (folder / "speaker.wav").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match=r"speaker\.wav is damaged"):
        Golden(folder).check()


def test_the_record_of_a_dump_finds_arrays_of_another(tmp_path: Path) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    golden_copies.recorded(folder)
    other = golden_copies.copied(tmp_path / "other", ["audio"])
    (other / "tensors" / "audio.npz").rename(folder / "tensors" / "audio.npz")
    with pytest.raises(InputError, match=r"audio\.npz does not belong here"):
        Golden(folder).check()


def test_a_stage_that_was_removed_from_a_dump_is_not_recorded(tmp_path: Path) -> None:
    folder = golden_copies.copied(tmp_path, ["codec", "audio"])
    golden_copies.recorded(folder)
    (folder / "tensors" / "audio.npz").unlink()
    golden = Golden(folder)
    golden.check()
    assert not_recorded(golden, "audio") == {"audio": "not recorded"}


@pytest.mark.parametrize("text", ["", "[]", '{"sources": 3}', '{"sources": [], "files": [1]}'])
def test_a_damaged_record_is_an_error(tmp_path: Path, text: str) -> None:
    folder = golden_copies.copied(tmp_path, ["codec"])
    (folder / "about.json").write_text(text)
    with pytest.raises(InputError, match=r"about\.json is damaged"):
        Golden(folder).check()


def test_search_settings_are_recorded_or_default(tmp_path: Path) -> None:
    folder = golden_copies.copied(tmp_path, ["gpt"])
    assert Searches.of(Golden(folder)) == Searches(max_codes=48, penalty=10.0, scored_penalty=2.0)
    text = '{"max_codes": 7, "penalty": 3.0, "scored_penalty": 1.5}'
    golden_copies.altered(folder, "gpt", settings=np.array(text))
    assert Searches.of(Golden(folder)) == Searches(max_codes=7, penalty=3.0, scored_penalty=1.5)
