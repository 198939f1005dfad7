"""Sampled codes against the reference's, which `tools.check.sampling --store` wrote.

Text and draws of a run follow from its seed. The reference ran with the generation loop of the
published pipeline, see the file for the versions.
"""

import collections
import functools
import json

import models_under_test
import pytest
import support

from tools.check.sampling_ours import Ours
from tools.check.sampling_runs import GROUPS, Run

STORED = json.loads((support.DATA / "sampling_runs.json").read_text(encoding="utf-8"))["runs"]
SETS = {name: models_under_test.SETS[name] for name in ("tiny", "second")}
FIELDS = ("set", "group", "seed", "stop_bias", "settings")
# Beams of the runs that every test run checks: each strategy is a compilation of seconds.
FAST = {("tiny", "beams typical"): 3, ("second", "single typical"): 1}


@functools.cache
def ours(name: str) -> Ours:
    return Ours(SETS[name])


def check(rows: list[dict]) -> None:
    """Fails, naming each run that is not as stored."""
    wrong = {}
    for row in rows:
        run = Run(**{field: row[field] for field in FIELDS})
        found = ours(run.set).result(run)
        if found["checksum"] != row["checksum"]:
            pytest.fail("this NumPy draws other numbers: the stored codes say nothing here")
        if found["codes"] != row["codes"]:
            wrong[run.seed] = (found["codes"], row["codes"])
    assert not wrong, wrong


def stored(name: str, group: str) -> tuple[list[dict], list[dict]]:
    """The runs of a group that every test run checks, and the others."""
    fast: list[dict] = []
    slow: list[dict] = []
    for row in STORED:
        if (row["set"], row["group"]) == (name, group):
            often = row["settings"]["beams"] == FAST.get((name, group))
            (fast if often else slow).append(row)
    return fast, slow


@pytest.mark.parametrize(
    ("name", "group"),
    [pytest.param(*case, marks=[pytest.mark.nightly] * (case[0] == "second")) for case in FAST],
)
def test_codes_equal_reference(name: str, group: str) -> None:
    rows = stored(name, group)[0]
    assert len(rows) >= 5
    check(rows)


@pytest.mark.nightly
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", SETS)
def test_codes_of_all_other_runs_equal_reference(name: str, group: str) -> None:
    check(stored(name, group)[1])


def test_stored_runs_are_many_and_varied() -> None:
    kinds = collections.Counter((row["set"], row["group"]) for row in STORED)
    assert set(kinds) == {(name, group) for name in SETS for group in GROUPS}
    assert min(kinds.values()) >= 10
    assert {row["settings"]["beams"] for row in STORED} == {1, 2, 3, 4}
    assert len({row["stop_bias"] for row in STORED}) > 2
    lengths = {len(row["codes"]) for row in STORED}
    assert {1, 40} < lengths
    assert len(lengths) > 20
