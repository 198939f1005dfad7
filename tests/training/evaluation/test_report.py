"""The report, the guard, and what is said of samples."""

import functools
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_objective
from toy_objective import Toy, session

from indextts_jax.engine.faults import Fault
from indextts_jax.engine.speech import Segment, Speech
from indextts_jax.training.evaluation import report, samples
from indextts_jax.training.evaluation.guard import Guard, guard_of
from indextts_jax.training.evaluation.samples import summary
from indextts_jax.training.evaluation.speaking import merged
from indextts_jax.training.loop.saves import Best, Score
from indextts_jax.training.objectives.base import Term
from indextts_jax.training.recipe import EvaluationRecipe


def line(step: int, loss: float, **more: Any) -> dict[str, Any]:
    return {"kind": "evaluation", "step": step, "loss": loss, "score": loss, "code": loss, **more}


LINES = [
    line(0, 3.0, speakers={"anna": 3.1, "bob": 2.9}),
    line(10, 2.0, speakers={"anna": 2.1, "bob": 1.9}),
    line(20, 2.5, samples={"count": 12, "ended": 11, "ratio": 1.1, "listen": ["2_0"]}),
    {"kind": "skipped", "step": 3, "rows": ["clip3"]},
]


def rows(text: str) -> list[list[str]]:
    found = [row for row in text.splitlines() if row.startswith("|")]
    return [[word.strip() for word in row.strip("|").split("|")] for row in found]


def test_the_best_is_first_and_the_base_among_them() -> None:
    best = Best(best=10, base=3.0, scores=(Score(step=10, value=2.0), Score(step=20, value=2.5)))
    text = report.report(toy_objective.recipe(objective="gpt"), best, LINES, [10, 20])
    table = rows(text)
    assert [row[0] for row in table[2:5]] == ["**10 (best)**", "20", "0 (base)"]
    assert table[2][1:4] == ["yes", "2.0000", "2.0000"]
    assert "step 10: validation loss 2.0000, 1.0000 below the model before training" in text
    assert ["anna", "3.1000", "2.1000"] in table
    assert "11 of 12" in text
    assert "samples/20/2_0.wav" in text
    assert "clip3" in text
    assert "timbre" in text


def test_judge_results_have_columns() -> None:
    judged = {"wer": 0.125, "deletions": 0.1, "similarity": 0.61, "quality": 3.0625}
    spoken = {"count": 12, "ended": 12, "ratio": 1.0, "listen": [], "repeat": 0.5}
    spoken |= {"silence": 0.25, "clipped": 0.0}
    lines = [line(0, 3.0), line(10, 2.0, judges=judged, samples=spoken)]
    best = Best(metric="word error rate", best=10, scores=(Score(step=10, value=0.125),))
    header, _, first, second = rows(report.report(toy_objective.recipe(), best, lines, [10]))[:4]
    table = dict(zip(header, first, strict=True))
    assert header.index("word error rate") == 2
    assert (table["word errors"], table["similarity"], table["DNSMOS"]) == (
        "12.5%",
        "0.610",
        "3.062",
    )
    assert (table["longest repeat"], table["silence"]) == ("0.50 s", "25.0%")
    assert dict(zip(header, second, strict=True))["word errors"] == ""


def test_run_without_improvement_is_reported() -> None:
    best = Best(best=10, base=1.0, scores=(Score(step=10, value=2.0),))
    text = report.report(toy_objective.recipe(), best, [line(0, 1.0), line(10, 2.0)], [10])
    assert "run did not improve it" in text
    assert rows(text)[2][0] == "0 (base)"


def guard(losses: list[float]) -> Guard:
    values = iter(losses)
    recipe = EvaluationRecipe(guard_warn=0.05, guard_stop=0.2)
    return Guard(lambda params: {"loss": next(values)}, recipe)  # type: ignore[arg-type]


def test_the_guard_warns_and_then_ends_the_run() -> None:
    measure = guard([2.0, 2.04, 2.1, 2.3])
    found = [measure(step, {}) for step in (0, 10, 20, 30)]
    assert [bool(one.warnings) for one in found] == [False, False, True, False]
    assert [one.stop is not None for one in found] == [False, False, False, True]
    assert "rose by 0.300 from the base's 2.000" in str(found[3].stop)
    assert found[1].values["guard_rise"] == pytest.approx(0.04)


def test_the_guard_looks_at_codes_and_at_the_distance_from_the_base() -> None:
    terms = [{"code": 2.0, "kl": kl, "loss": 9.0} for kl in (0.0, 0.04, 0.1, 0.3, math.nan)]
    values = iter(terms)
    measure = Guard(lambda params: next(values), EvaluationRecipe())
    found = [measure(step, {}) for step in range(5)]
    assert [bool(one.warnings) for one in found] == [False, False, True, False, False]
    assert [one.stop is not None for one in found] == [False, False, False, True, True]
    assert found[1].values == {"guard": 2.0, "guard_rise": 0.0, "guard_kl": 0.04}
    assert "is 0.300 nats per code" in str(found[3].stop)
    lenient = EvaluationRecipe(guard_kl_stop=0.5, guard_kl_warn=0.4)
    assert Guard(lambda params: terms[3], lenient)(0, {}).warnings == ()


class Compared(Toy):
    """With a distance: of the kernels of the last layer."""

    def divergence(self, params: Any, base: Any, batch: Any) -> Any:
        ours, theirs = (one["toy"]["out"]["kernel"] for one in (params, base))
        count = jnp.float32(len(batch["x"]))
        return {"kl": Term(jnp.abs(ours - theirs).max() * count, count)}


@pytest.mark.nightly
def test_the_guard_keeps_what_the_run_began_with(tmp_path: Path) -> None:
    opened = session(tmp_path / "data", Compared())
    measure = guard_of(opened, toy_objective.data(tmp_path / "other", rows=7))
    setup = opened.setup
    params = setup.params(setup.state, setup.frozen)
    assert measure(0, params).values["guard_kl"] == 0
    moved = jax.tree.map(lambda leaf: leaf + 0.125, params)
    jax.tree.map(lambda leaf: leaf.delete(), setup.state)  # as the first step does
    assert measure(1, moved).values["guard_kl"] == pytest.approx(0.125)


@pytest.mark.nightly
def test_the_guard_measures_other_data(tmp_path: Path) -> None:
    opened = session(tmp_path / "data")
    other = toy_objective.data(tmp_path / "other", rows=7)
    measure = guard_of(opened, other, [{"step": 0, "guard": 0.0}])
    params = opened.setup.params(opened.setup.state, opened.setup.frozen)
    found = measure(10, params)
    terms: dict[str, list[float]] = {"error": [0.0, 0.0], "size": [0.0, 0.0]}
    for row in other.rows:
        batch = Toy().collate([row], other, 4.0, np.random.default_rng(0))
        for name, term in Toy().evaluate(params, batch, None).items():  # type: ignore[arg-type]
            terms[name][0] += float(term.total)
            terms[name][1] += float(term.count)
    error, size = (total / count for total, count in terms.values())
    assert found.values["guard"] == pytest.approx(error + 0.01 * size, rel=1e-5)
    assert found.stop is not None


def speech(samples: np.ndarray, codes: int, *, ended: bool = True, repeat: int = 0) -> Speech:
    faults = () if ended else (Fault("endless", "no end"),)
    segment = Segment(
        text_tokens=3, codes=codes, frames=9, truncated=not ended, faults=faults, repeat=repeat
    )
    return Speech(samples.astype(np.float32), 1000, (segment,), {})


def test_samples_are_judged_by_what_can_be_measured() -> None:
    loud = 0.9 * np.sin(np.arange(1000))
    judge = functools.partial(samples.judge, codes_per_second=50)
    found = judge(speech(loud, 20), "ten signs.", 2.0, number=1, prompt=0)
    assert (found.ended, found.ratio, found.silence, found.clipped) == (True, 1.0, 0.0, 0.0)
    assert not found.suspicious
    half = np.concatenate([loud, np.zeros(1000)])
    other = judge(speech(half, 40, ended=False), "ten signs.", 2.0, number=2, prompt=1)
    assert (other.ratio, other.silence, other.suspicious) == (2.0, 0.5, True)
    stuck = judge(speech(loud, 20, repeat=60), "ten signs.", 2.0, number=3, prompt=1)
    assert (stuck.ended, stuck.ratio, stuck.repeat, stuck.suspicious) == (True, 1.0, 1.2, True)
    told = summary([found, other, stuck])
    assert (told["repeat"], told["silence"], told["clipped"]) == (1.2, pytest.approx(0.5 / 3), 0.0)
    told = summary([found, other])
    assert (told["ended"], told["count"], told["listen"]) == (1, 2, ["2_1"])


def test_low_rank_changes_are_merged() -> None:
    rng = np.random.default_rng(0)
    kernel, down, up = (
        rng.normal(size=(2, 3, 5)),
        rng.normal(size=(2, 3, 1)),
        rng.normal(size=(2, 1, 5)),
    )
    change = {"blocks": {"out": {"kernel": {"down": down, "up": up}}}}
    params = {"blocks": {"out": {"kernel": kernel, "bias": np.ones(5)}}, "norm": np.ones(3)}
    found = merged(params, change, 0.5)
    np.testing.assert_allclose(
        np.asarray(found["blocks"]["out"]["kernel"]), kernel + 0.5 * down @ up, rtol=1e-5
    )
    assert found["blocks"]["out"]["bias"] is params["blocks"]["out"]["bias"]
