"""Weights alone, to go on with elsewhere."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_objective import session

from indextts_jax.errors import InputError
from indextts_jax.training.loop import folder
from indextts_jax.training.loop.optimizer import REWARMED, learning_rate
from indextts_jax.training.loop.saves import Saves
from indextts_jax.training.loop.session import train
from indextts_jax.training.recipe import OptimizerRecipe
from indextts_jax.training.weights import read_weights, write_weights


@pytest.mark.nightly
def test_a_run_goes_on_from_weights(tmp_path: Path) -> None:
    run, opened = tmp_path / "run", session(tmp_path / "data")
    train(run, opened, asked=lambda: "stopped")
    file = write_weights(run)
    step, leaves = read_weights(file)
    state = Saves(run, opened.recipe.saves).load(1, session(tmp_path / "data").setup.state)
    assert step == 1
    for path, leaf in state.average.items():
        assert leaves[path].dtype == np.float16
        np.testing.assert_allclose(leaves[path], np.asarray(leaf), rtol=1e-3, atol=1e-4)
    told: list[str] = []
    again = session(tmp_path / "data")
    ending = train(run, again, resume=True, weights=(step, leaves), warn=told.append)
    assert ending.step == 20
    assert any("moments restart at step 1" in line for line in told)


def test_the_rate_warms_up_again() -> None:
    recipe = OptimizerRecipe(rate=1.0, schedule="constant")
    found = [float(learning_rate(recipe, step, 999, restarted=50)) for step in (50, 149, 249, 300)]
    assert found == pytest.approx([1 / REWARMED, 0.5, 1, 1])


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file not found"):
        read_weights(tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "weights.safetensors")


def record(**changes: Any) -> folder.RunRecord:
    found = folder.RunRecord(
        created="2026", checkpoint=None, base="b" * 64, data="one", digest="d" * 64,
        versions=(), devices=(),
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


def test_other_data_is_refused_unless_the_run_goes_on_from_weights(tmp_path: Path) -> None:
    """More recordings may come while a voice is in training."""
    more = record(data="two", digest="e" * 64)
    with pytest.raises(InputError, match=r"data: the run began with dddddddddddd \(one\), two"):
        folder.check_same(tmp_path, record(), more)
    assert "two has eeeeeeeeeeee" in (
        folder.check_same(tmp_path, record(), more, exact=False) or ""
    )
    assert folder.check_same(tmp_path, record(), record(), exact=False) is None


def test_another_base_is_refused_from_weights_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="base: the run began with parameters bbbbbbbbbbbb"):
        folder.check_same(tmp_path, record(), record(base="c" * 64), exact=False)
