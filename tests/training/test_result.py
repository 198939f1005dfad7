"""What a run has made, as export reads it."""

from pathlib import Path

import numpy as np
import pytest
import toy_objective
from toy_objective import session

from indextts_jax.errors import InputError
from indextts_jax.training.loop.saves import Saves, read_best
from indextts_jax.training.loop.session import train
from indextts_jax.training.result import read_result


def test_the_best_save_is_read_and_applied(tmp_path: Path) -> None:
    opened = session(tmp_path / "data")
    train(tmp_path / "run", opened)
    result = read_result(tmp_path / "run")
    assert result.step == read_best(tmp_path / "run").best
    assert result.components == ("toy",)
    assert result.adapters == {}
    again = session(tmp_path / "data")
    state = Saves(tmp_path / "run", again.recipe.saves).load(result.step, again.setup.state)
    params = toy_objective.base().params["toy"]
    found = result.applied("toy", params)
    np.testing.assert_array_equal(found["out"]["kernel"], state.average["toy.out.kernel"])
    np.testing.assert_array_equal(found["norm"]["mean"], state.statistics["toy.norm.mean"])
    np.testing.assert_array_equal(found["table"]["positions"], params["table"]["positions"])
    with pytest.raises(InputError, match="no save of step 3"):
        read_result(tmp_path / "run", 3)
    params["out"]["kernel"] = params["out"]["kernel"][:2]
    with pytest.raises(InputError, match=r"toy.out.kernel has shape \(8, 1\)"):
        result.applied("toy", params)
