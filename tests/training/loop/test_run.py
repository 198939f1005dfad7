"""Runs of a toy objective: what comes out, and what is on disk."""

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest
from toy_objective import Toy, session

from indextts_jax.errors import Failure, InputError
from indextts_jax.training.loop import log
from indextts_jax.training.loop.run import Measured
from indextts_jax.training.loop.saves import Saves, read_best, steps_in
from indextts_jax.training.loop.session import train
from indextts_jax.training.loop.state import State
from indextts_jax.training.recipe import EvaluationRecipe, OptimizerRecipe, SavesRecipe


def state_of(run: Path, step: int, folder: Path) -> State:
    opened = session(folder)
    return Saves(run, opened.recipe.saves).load(step, opened.setup.state)


def lines(run: Path, kind: str) -> list[dict]:
    return [line for line in log.read(run) if line["kind"] == kind]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and a run of 20 steps."""
    folder = tmp_path_factory.mktemp("done")
    train(folder / "run", session(folder / "data"))
    return folder


def test_a_run_that_was_stopped_goes_on_bit_for_bit(done: Path, tmp_path: Path) -> None:
    calls = iter([None] * 9 + ["stopped"])
    ending = train(tmp_path / "run", session(done / "data"), asked=lambda: next(calls))
    assert (ending.step, ending.reason, ending.asked) == (10, "stopped", True)
    train(tmp_path / "run", session(done / "data"), resume=True)
    found = [state_of(run, 20, done / "data") for run in (done / "run", tmp_path / "run")]
    jax.tree.map(np.testing.assert_array_equal, *found)
    losses = [
        [line["model.loss"] for line in lines(run, "train")]
        for run in (done / "run", tmp_path / "run")
    ]
    assert losses[0] == losses[1]


def test_validation_loss_falls_from_step_0(done: Path) -> None:
    best, evaluations = read_best(done / "run"), lines(done / "run", "evaluation")
    assert [line["step"] for line in evaluations] == [0, 10, 20]
    assert best.base == evaluations[0]["loss"]
    assert best.best in (10, 20)
    assert evaluations[-1]["loss"] < evaluations[0]["loss"]
    assert set(evaluations[0]["speakers"]) == {"speaker0", "speaker1", "speaker2"}


def test_run_directory_records_its_provenance(done: Path) -> None:
    record = json.loads((done / "run/provenance.json").read_text())
    assert record["base"] == session(done / "data").base.digest
    assert record["digest"] == session(done / "data").data.digest
    assert {one["package"] for one in record["versions"]} >= {"jax", "indextts-jax"}
    assert "batch:" in (done / "run/recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"optimizer": OptimizerRecipe(rate=0.01, warmup=2)}, "optimizer.rate was 0.03, now 0.01"),
    ],
)
def test_a_changed_recipe_is_refused_by_its_key(done: Path, changes: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        train(done / "run", session(done / "data", **changes), resume=True)


def test_other_data_are_refused(done: Path, tmp_path: Path) -> None:
    from toy_objective import data

    data(tmp_path / "other", rows=20)
    with pytest.raises(InputError, match="data: the run began with"):
        train(done / "run", session(tmp_path / "other"), resume=True)


@pytest.mark.nightly
def test_settings_of_saves_may_change(done: Path, tmp_path: Path) -> None:
    train(tmp_path / "run", session(done / "data"), asked=lambda: "stopped")
    again = session(done / "data", saves=SavesRecipe(every=4, last=1, best=1))
    train(tmp_path / "run", again, resume=True)
    assert "every: 4" in (tmp_path / "run/recipe.yaml").read_text()


def test_run_directory_is_not_reused(done: Path) -> None:
    with pytest.raises(InputError, match="use --resume"):
        train(done / "run", session(done / "data"))


@pytest.mark.nightly
def test_the_best_and_the_last_stay_and_others_go(done: Path, tmp_path: Path) -> None:
    def judge(step: int, params: object) -> Measured:
        return Measured(score=abs(step - 4.0))  # best at 4

    recipe = {
        "evaluation": EvaluationRecipe(every=2, patience=None),
        "saves": SavesRecipe(every=1, best=1, last=2, keep_every=7),
    }
    train(tmp_path / "run", session(done / "data", **recipe), measures=[judge])
    assert steps_in(tmp_path / "run") == [4, 7, 14, 19, 20]
    assert read_best(tmp_path / "run").best == 4


def test_training_ends_without_gain(done: Path, tmp_path: Path) -> None:
    recipe = {"evaluation": EvaluationRecipe(every=2, patience=3)}
    ending = train(
        tmp_path / "run",
        session(done / "data", **recipe),
        measures=[lambda step, params: Measured(score=1.0 if step == 2 else 2.0)],
    )
    assert (ending.step, ending.reason) == (8, "no gain in 3 evaluations")
    assert read_best(tmp_path / "run").best == 2


def test_steps_without_finite_gradients_are_skipped_and_named(done: Path, tmp_path: Path) -> None:
    told: list[str] = []
    train(tmp_path / "run", session(done / "data", Toy(poison=("clip3",))), warn=told.append)
    skipped = lines(tmp_path / "run", "skipped")
    assert 0 < len(skipped) < 20
    assert all("clip3" in line["rows"] for line in skipped)
    assert len([line for line in told if "clip3" in line]) == len(skipped)
    last = lines(tmp_path / "run", "evaluation")[-1]
    assert math.isfinite(last["loss"])


def test_a_run_without_finite_gradients_stops(done: Path, tmp_path: Path) -> None:
    opened = session(done / "data", Toy(noise=float("nan")), most_skipped=3)
    with pytest.raises(Failure, match="3 steps in a row had non-finite gradients, up to step 3"):
        train(tmp_path / "run", opened)
