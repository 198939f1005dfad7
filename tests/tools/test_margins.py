"""The margins that a dump of the reference records."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))


def test_a_margin_is_the_least_gap_between_the_best_and_the_next() -> None:
    from golden.margins import margin

    scores = torch.tensor([[1.0, 7.0, 3.0, 6.5], [0.0, 2.0, 2.0, -5.0]])
    assert margin(scores, 1).tolist() == [0.5, 0.0]
    assert margin(scores, 2).tolist() == [0.5, 0.0]
    assert margin(scores[:1], 3).tolist() == [0.5]
    assert margin(torch.tensor([[1.0, 4.0, 9.0]]), 2).tolist() == [3.0]


def test_excluded_scores_leave_an_infinite_margin() -> None:
    from golden.margins import margin

    scores = torch.full((1, 5), -torch.inf)
    scores[0, 2] = 1.0
    assert margin(scores, 1).tolist() == [np.inf]
    assert margin(scores, 3).tolist() == [np.inf]


def test_margins_are_recorded_without_changing_choices() -> None:
    from golden.margins import Margins

    margins = Margins(vocabulary=4, choices=2)
    scores = torch.tensor([[5.0, 1.0, 4.0, 2.0, 0.0, 0.5, 0.25, 3.75]])
    with margins.installed():
        assert torch.topk(scores, 2).indices.tolist() == [[0, 2]]
        assert torch.argmax(scores[:, :4], dim=-1).tolist() == [0]
        torch.argmax(scores[:, :3], dim=-1)  # not of the vocabulary
    torch.argmax(scores, dim=-1)
    assert margins.array().tolist() == [[0.25, 1.0]]


def test_draws_say_how_far_they_were_from_others() -> None:
    from golden.inputs import Draws

    p, q = np.float32([[0.5, 0.25, 0.2, 0.05]]), np.float32([[1.0, 1.0, 1.0, 1.0]])
    draws = Draws(q, np.random.default_rng(0))
    assert draws(torch.from_numpy(p), 2).tolist() == [[0, 1]]
    assert draws.margins == [pytest.approx(np.log(0.25 / 0.2), rel=1e-5)]
