"""How long chunks are, and what a listener hears of them; on costs, without a model."""

import numpy as np
import pytest

from indextts_jax import Chunks, InputError, Settings, Timing
from indextts_jax.engine.streaming.chunks import SIZES, UNIT
from indextts_jax.engine.streaming.listener import Listener
from indextts_jax.engine.streaming.schedule import (
    SLOW,
    Costs,
    Measured,
    Work,
    next_size,
    prebuffer,
)

SECOND = 0.02  # of sound for a code
AHEAD = 13  # codes past a chunk
PROMPT, CONTEXT = 430, 250  # frames of a voice; codes of context


class Machine:
    """What chunks cost: by the code, by the call and by the frame, each off by some share."""

    def __init__(self, code: float, call: float, frame: float, rng: np.random.Generator):
        self.code, self.call, self.frame, self.rng = code, call, frame, rng

    def flow(self, frames: int, off: float = 0.0) -> float:
        return (self.call + self.frame * frames) * (1 + self.rng.uniform(-off, off))

    def costs(self, prompt: int = PROMPT) -> Costs:
        """What the warm-up measures."""
        costs = Costs()
        costs.codes.note(1, self.code)
        for size in range(0, 1300, 43):
            costs.flow.note(prompt + size, self.flow(prompt + size))
            costs.vocoder.note(size + 76, 1e-5 * (size + 76))
        return costs


def work(known: int, spoken: int) -> Work:
    def flow(spoken: int, size: int) -> int:
        return PROMPT + 43 * (size + min(spoken, CONTEXT)) // 25 + 22

    return Work(spoken, known, AHEAD, flow, lambda size: 43 * size // 25 + 76)


def played(machine: Machine, codes: int, first: int = UNIT, off: float = 0.0) -> Listener:
    """An utterance of this many codes, streamed to a listener; costs vary by a share `off`."""
    costs, listener = machine.costs(), Listener(0.0)
    now, known, spoken, size = 0.0, 0, 0, first
    while spoken < codes:
        if spoken:
            size = next_size(work(known, spoken), costs, listener.slack(now), SECOND)
        last = codes - spoken < size + AHEAD + UNIT
        size = codes - spoken if last else size
        new = min(codes, spoken + size + AHEAD) - known
        now += new * machine.code * (1 + machine.rng.uniform(-off, off))
        known += max(0, new)
        now += machine.flow(work(known, spoken).flow(spoken, size), off) + 1e-5 * (
            43 * size // 25 + 76
        )
        if not spoken:
            listener.prebuffer = prebuffer(work(known, size), costs, codes, SECOND)
        spoken += size
        listener.hear(now, size * SECOND)
    return listener


@pytest.mark.parametrize(
    ("code", "call", "frame"),
    [(0.0012, 0.040, 4e-5), (0.004, 0.060, 1.5e-4), (0.002, 0.1, 1e-5), (0.008, 0.02, 5e-5)],
)
def test_listener_hears_no_gap_while_costs_are_within_a_tenth_of_those_measured(
    code: float, call: float, frame: float
) -> None:
    for seed in range(20):
        machine = Machine(code, call, frame, np.random.default_rng(seed))
        listener = played(machine, codes=60 + 70 * seed, off=0.1)
        assert listener.gaps == []
        assert listener.prebuffer == 0


def test_chunks_grow_with_what_is_still_to_be_heard() -> None:
    costs = Machine(0.0012, 0.040, 4e-5, np.random.default_rng(0)).costs()
    sizes = [next_size(work(38, 25), costs, slack, SECOND) for slack in (0.1, 0.3, 0.5, 1.0, 9.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] == UNIT
    assert sizes[-1] == SIZES[-1]


def test_slow_machine_takes_long_chunks_and_tells_how_long_to_wait() -> None:
    for seed in range(10):
        machine = Machine(0.02, 0.15, 5e-4, np.random.default_rng(seed))
        listener = played(machine, codes=200 + 100 * seed)
        assert listener.prebuffer > 0 or seed == 0
        assert listener.gaps == []
    assert next_size(work(38, 25), machine.costs(), 9.0, SECOND) == SLOW


def test_cost_is_the_median_of_the_latest() -> None:
    cost = Measured()
    assert cost.seconds(100) == 0
    for seconds in [9.0] * 5 + [1.0] * 15 + [50.0]:
        cost.note(100, seconds)
    assert cost.seconds(100) == 1
    assert cost.seconds(150) == pytest.approx(1.5)


def test_listener_counts_gaps() -> None:
    listener = Listener(10.0)
    assert listener.slack(10.5) == 0
    for now, seconds in [(11.0, 0.5), (11.25, 0.5), (12.5, 1.0), (13.0, 1.0)]:
        listener.hear(now, seconds)
    assert listener.first == 1
    assert listener.gaps == [0.5]
    assert listener.slack(13.0) == pytest.approx(1.5)
    assert listener.report == (
        "first audio after 1.00 s; 4 sounds, at most 1.25 s apart; 1 underruns, 0.50 s in all"
    )


@pytest.mark.parametrize("wrong", [{"first": 30}, {"first": 0}, {"seams": "none"}])
def test_chunks_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=f"must be .*got {next(iter(wrong.values()))!r}"):
        Chunks(**wrong)


def test_duration_cannot_be_met_in_chunks() -> None:
    with pytest.raises(InputError, match="duration needs the codes of the whole text"):
        Settings(chunks=Chunks(), timing=Timing(duration=3.0))
