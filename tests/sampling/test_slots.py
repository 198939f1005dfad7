"""Slots: rows that decode side by side, each at a step of its own."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from jax.sharding import Mesh

from indextts_jax.layers.kernels.decode_attention import attend_filled
from indextts_jax.models import gpt_cache, gpt_joint_cache
from indextts_jax.models.components import structure
from indextts_jax.runtime.layout import to_device_layout
from indextts_jax.sampling import slots
from indextts_jax.sampling.generate import generate
from indextts_jax.sampling.settings import SamplingConfig

BUCKET, WINDOW, SLOTS = 23, 16, 3
TEXTS = [
    [21, 7, 55, 3, 14, 60],
    [262, 263, 805, 332, 77, 32, 29, 66, 794, 60, 821],
    [500],
    [17, 90, 4, 4, 801],
    [33, 44, 55],
    [700, 12, 9, 9, 42, 8, 71, 3],
]
TEMPERATURES = [0.8, 1.3, 2.0, 0.8, 1.0, 1.5]
KEYS = jax.random.split(jax.random.key(3), len(TEXTS))


@functools.cache
def params(platform: str) -> Any:
    return to_device_layout("gpt", jax.tree.map(jnp.asarray, support.tiny_params("gpt")), platform)


FUSED = False  # whether the model has the kernel for NVIDIA GPUs; one test sets it


@functools.cache
def jitted(function: Any, **static: Any) -> Any:
    bind = structure("gpt", support.tiny_config(), fused_attention=FUSED).bind
    return jax.jit(lambda params, *given: function(bind(params), *given, **static))


def call(function: Any, *given: Any, platform: str = "cpu", **static: Any) -> Any:
    return jitted(function, **static)(params(platform), *given)


def given(number: int) -> tuple[Any, ...]:
    """What one request is spoken from."""
    golden = support.golden("gpt")
    text = np.zeros((1, BUCKET), np.int32)
    text[0, : len(TEXTS[number])] = TEXTS[number]
    return (
        jnp.asarray(golden["speaker_latents"]),
        jnp.asarray(golden["emovec"]) * (1 - number / 3),
        jnp.asarray(text),
        jnp.asarray([len(TEXTS[number])], jnp.int32),
        KEYS[number : number + 1],
    )


def alone(number: int, **more: Any) -> tuple[list[int], bool]:
    """The codes of a request by itself, and whether they were cut."""
    settings = sampling(number, **more)
    made = call(generate, *given(number), settings.numbers, strategy=settings.strategy)
    return made.codes[0, : int(made.lengths[0])].tolist(), bool(made.truncated[0])


def sampling(number: int, **more: Any) -> SamplingConfig:
    return SamplingConfig(temperature=TEMPERATURES[number], max_codes=40, **more)


def through_slots(
    mesh: Mesh | None = None, platform: str = "cpu", **more: Any
) -> dict[int | None, tuple[list[int], bool]]:
    """The codes of all requests, which wait for a slot in turn; as few codes fit in at first."""
    strategy = sampling(0, **more).strategy
    on = functools.partial(call, platform=platform)
    state = on(
        slots.empty,
        sampling(0).numbers,
        slots=SLOTS,
        text_size=BUCKET,
        window=WINDOW,
        strategy=strategy,
    )
    held: list[int | None] = [None] * SLOTS
    waiting, found = list(range(len(TEXTS))), {}
    while waiting or any(one is not None for one in held):
        for place, one in enumerate(held):
            if one is None and waiting:
                number = held[place] = waiting.pop(0)
                numbers = sampling(number, **more).numbers
                where = jnp.asarray([place])
                state = on(
                    slots.insert,
                    state,
                    where,
                    *given(number),
                    numbers,
                    strategy=strategy,
                    mesh=mesh,
                )
        state, stop = on(slots.run, state, strategy=strategy, mesh=mesh)
        if not stop.finished.any():
            assert stop.steps.max() == state.cache.size
            window = min(2 * state.cache.size, 40)
            state = state._replace(cache=on(slots.resize, state.cache, window=window))
        for place in np.flatnonzero(stop.finished):
            length = int(stop.generated.lengths[place])
            codes = stop.generated.codes[place, :length].tolist()
            found[held[place]] = (codes, bool(stop.generated.truncated[place]))
            held[place] = None
    return found


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="beam sampling"),
        pytest.param({"sample": False}, id="beam search", marks=pytest.mark.nightly),
        pytest.param({"beams": 1}, id="sampling", marks=pytest.mark.nightly),
        pytest.param({"beams": 1, "sample": False}, id="greedy", marks=pytest.mark.nightly),
    ],
)
def test_codes_of_a_slot_are_those_of_the_request_alone(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """The slots' cache lies in pieces that are reached one by one, and grow."""
    monkeypatch.setattr(gpt_cache, "FIRST_PIECE", 4)
    found = through_slots(**more)
    assert found == {number: alone(number, **more) for number in range(len(TEXTS))}
    assert len({len(codes) for codes, _ in found.values()}) > 1 or not more.get("sample", True)


@pytest.mark.nightly  # by default, tests/engine/test_live.py compares bounded runs
def test_bounded_runs_and_dropped_neighbours_change_no_code() -> None:
    settings = {number: sampling(number, beams=1) for number in range(SLOTS)}
    strategy = settings[0].strategy
    numbers = settings[0].numbers
    sizes = {"slots": SLOTS, "text_size": BUCKET, "window": 40}
    state = call(slots.empty, numbers, **sizes, strategy=strategy)
    for place, one in settings.items():
        where = jnp.asarray([place])
        state = call(
            slots.insert, state, where, *given(place), one.numbers, strategy=strategy, mesh=None
        )
    found, most = {}, jnp.asarray(3)
    for turn in range(20):
        before = state.rows.step
        state, stop = call(slots.run, state, most, strategy=strategy, mesh=None)
        assert (state.rows.step - before).max() <= 3
        for place in np.flatnonzero(stop.finished):
            length = int(stop.generated.lengths[place])
            found[place] = stop.generated.codes[place, :length].tolist()
        if turn == 0:
            state = slots.drop(state, jnp.asarray([False, True, False]))
    assert not state.busy.any()
    assert found == {number: alone(number, beams=1)[0] for number in (0, 2)}


@pytest.fixture
def _traced_anew() -> Iterator[None]:
    """Functions are traced with what a test puts in their place, and never again."""
    jitted.cache_clear()
    yield
    jitted.cache_clear()


@pytest.mark.nightly  # the kernel under `generate` is in the default run
@pytest.mark.usefixtures("_traced_anew")
def test_the_kernel_for_gpus_gives_the_same_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here over a mesh, of one device."""
    interpreted = functools.partial(attend_filled, interpret=True)
    monkeypatch.setattr(gpt_joint_cache, "attend_filled", interpreted)
    monkeypatch.setitem(globals(), "FUSED", True)

    found = through_slots(Mesh(np.array(jax.devices()[:1]), slots.ROWS), "gpu")

    monkeypatch.undo()
    jitted.cache_clear()
    assert found == {number: alone(number) for number in range(len(TEXTS))}
