import json
from pathlib import Path

import numpy as np
import pytest
from toy_objective import session

from indextts_jax.errors import InputError
from indextts_jax.training.from_scratch import carry
from indextts_jax.training.from_scratch.carry import Carried
from indextts_jax.training.from_scratch.commands import Plan
from indextts_jax.training.from_scratch.description import parse_build
from indextts_jax.training.loop.folder import read_record
from indextts_jax.training.loop.saves import steps_in
from indextts_jax.training.loop.session import train
from indextts_jax.training.weights import FILE, read_weights

BUILD = """
model: tiny
tokenizer: char
pieces: 40
neutral: {of: speech, clips: 2}
stages:
  - {name: a, recipe: mini/tokens, data: {of: [speech], recipes: [tokens]}}
  - {name: b, recipe: mini/style, data: {of: [speech], recipes: [style]}}
"""


def plan_at(folder: Path) -> Plan:
    return Plan(parse_build(BUILD, "test"), folder, {})


def test_a_run_in_work_goes_on_elsewhere(tmp_path: Path) -> None:
    here, there = plan_at(tmp_path / "here"), plan_at(tmp_path / "there")
    run = here.run_of(here.build.stages[0])
    run.parent.mkdir(parents=True)
    train(run, session(tmp_path / "data"), asked=lambda: "stopped")
    assert carry.pack(here, tmp_path / "state") == Carried(None, "a", 1)
    assert str(tmp_path) not in (tmp_path / "state" / "run" / "provenance.json").read_text()
    assert carry.unpack(there, tmp_path / "state") == Carried(None, "a", 1)
    moved = there.run_of(there.build.stages[0])
    assert "--weights_only" in there.train(there.build.stages[0], None)
    step, leaves = read_weights(moved / FILE)
    opened = session(tmp_path / "data")
    train(moved, opened, resume=True, weights=(step, leaves), asked=lambda: "stopped")
    assert steps_in(moved) == [1, 2]
    # With the tokenizer of this data it is exported, and only this data resumes it exactly.
    assert read_record(moved).data == str(tmp_path / "data")
    assert "--weights_only" not in there.train(there.build.stages[0], None)
    for leaf in leaves.values():
        assert np.asarray(leaf).dtype == np.float16


def test_a_model_that_is_done_stands_for_the_stages_before_it(tmp_path: Path, monkeypatch) -> None:
    plan = plan_at(tmp_path / "here")
    model = plan.model_after(plan.build.stages[1])
    model.mkdir(parents=True)
    (model / "x").write_text("x")
    monkeypatch.setattr(
        "indextts_jax.training.from_scratch.commands.is_checkpoint", lambda path: path.is_dir()
    )
    assert plan.is_done(plan.build.stages[0])
    assert carry.pack(plan, tmp_path / "state") == Carried("b", None, None)
    assert carry.pack(plan, tmp_path / "state") == Carried("b", None, None)
    (tmp_path / "state" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"the state of a build, but also holds notes\.txt"):
        carry.pack(plan, tmp_path / "state")
    (tmp_path / "state" / "notes.txt").unlink()
    there = plan_at(tmp_path / "there")
    carry.unpack(there, tmp_path / "state")
    assert (there.model_after(there.build.stages[1]) / "x").is_file()


def test_invalid_state_or_destination_is_rejected(tmp_path: Path) -> None:
    plan = plan_at(tmp_path / "here")
    with pytest.raises(InputError, match="nothing has been trained yet"):
        carry.pack(plan, tmp_path / "state")
    with pytest.raises(InputError, match="is not the state"):
        carry.unpack(plan, tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    (state / carry.STATE).write_text(json.dumps({"done": "z", "working": None, "step": None}))
    with pytest.raises(InputError, match="no stage z"):
        carry.unpack(plan, state)
    plan.dst.mkdir()
    (plan.dst / "x").touch()
    with pytest.raises(InputError, match="is not empty"):
        carry.unpack(plan, state)
