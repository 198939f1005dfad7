"""Components loaded as they are used."""

import shutil
from pathlib import Path

import golden_copies
import jax
import numpy as np
import pytest
from models_under_test import model

from indextts_jax.checkpoint import reading
from indextts_jax.config import RunConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.parameters import Parameters
from indextts_jax.validation.loading import OneByOne


@pytest.fixture(scope="module")
def tiny_checkpoint() -> Path:
    return golden_copies.shared()


def parameters(path: Path, room: int = 10**9) -> tuple[Parameters, list[str]]:
    """Parameters with so much room, and the names of those that were loaded, in order."""
    saved, loaded = reading.open_checkpoint(path), list[str]()
    names = saved.components
    return Parameters(saved, RunConfig(), names, room=room, on_load=loaded.append), loaded


def test_components_load_on_use_and_others_are_released(tiny_checkpoint: Path) -> None:
    params, loaded = parameters(tiny_checkpoint, room=0)
    for name in ("vocoder", "vocoder", "conditioning", "vocoder"):
        jax.tree.map(np.testing.assert_array_equal, params[name], model("tiny").params[name])
    assert loaded == ["vocoder", "conditioning", "vocoder"]


def test_components_stay_within_the_memory_limit(tiny_checkpoint: Path) -> None:
    params, loaded = parameters(tiny_checkpoint)
    for name in ("gpt", "dit", "gpt"):
        params[name]
    assert loaded == ["gpt", "dit"]


def test_the_one_used_least_recently_goes_first(tiny_checkpoint: Path) -> None:
    names = ("style_encoder", "emotion_prototypes", "length_regulator")
    sizes = {
        name: sum(leaf.nbytes for leaf in jax.tree.leaves(model("tiny").params[name]))
        for name in names
    }
    params, loaded = parameters(
        tiny_checkpoint, sizes["style_encoder"] + sizes["emotion_prototypes"] - 1
    )
    for name in (names[0], names[1], names[0], names[2]):
        params[name]
    params["style_encoder"]  # used after the prototypes, so they went
    assert loaded == list(names)


def test_asking_whether_a_component_is_there_does_not_load_it(tiny_checkpoint: Path) -> None:
    params, loaded = parameters(tiny_checkpoint)
    assert "gpt" in params
    assert "toaster" not in params
    assert loaded == []


def test_hashes_are_compared_before_anything_runs(tmp_path: Path, tiny_checkpoint: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_checkpoint, folder)
    largest = max((folder / "dit").rglob("*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    load = OneByOne(folder)
    load(["gpt"])
    with pytest.raises(InputError, match="damaged"):
        load(["gpt", "dit"])


def test_a_component_that_is_not_there_is_an_error(tiny_checkpoint: Path) -> None:
    load = OneByOne(tiny_checkpoint)
    with pytest.raises(InputError, match="has no toaster"):
        load(["toaster"])
