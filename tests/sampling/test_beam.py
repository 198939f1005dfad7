import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_search
from table_model import TableModel

from indextts_jax.sampling import loop
from indextts_jax.sampling.beam import (
    BeamState,
    Candidates,
    Hypotheses,
    _going_on,
    add,
    beam_search,
    candidates,
    finish,
    select,
)
from indextts_jax.sampling.settings import SamplingConfig

STEPS = 20


@functools.partial(jax.jit, static_argnames=("strategy",))
def searched(table, first, source, numbers, *, strategy):
    """Codes of rows that share a table; `numbers` are arguments, so few cases compile."""
    model = TableModel(0, table.shape[-1])
    model.table = table
    task = model.task(source, SamplingConfig())._replace(numbers=numbers, strategy=strategy)
    return beam_search(task, first, jnp.zeros((first.shape[0], 0, strategy.beams), jnp.int32))


def run(model, settings, source):
    first, _ = model.start(source.shape[0], settings.beams)
    return searched(
        jnp.asarray(model.table), first, source, settings.numbers, strategy=settings.strategy
    )


def as_the_reference(result, row=0):
    """The codes of a row with the stop code, where it came."""
    return result.codes[row, : result.lengths[row] + ~result.truncated[row]].tolist()


def slowly(model, settings, noise=None):
    return slow_search.best_with_beams(model, settings, model.start_code, model.stop_code, noise)


def random_case(seed, beams, **settings):
    """A model whose stop code is rare or frequent, and settings with any length penalty."""
    rng = np.random.default_rng(seed)
    model = TableModel(seed, 13, stop_bias=rng.uniform(-6, 2), scale=rng.uniform(0.5, 3))
    settings = SamplingConfig(
        beams=beams,
        length_penalty=[0.0, 1.0, -0.7, 2.5, 0.3][seed % 5],
        repetition_penalty=rng.uniform(1, 5),
        max_codes=STEPS,
        **settings,
    )
    noise = rng.exponential(size=(STEPS, beams * 13)).astype(np.float32)
    return model, settings, noise


@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("seed", range(25))
def test_search_equals_plain_python(seed, beams):
    model, settings, noise = random_case(seed, beams, sample=False)

    assert as_the_reference(run(model, settings, jnp.asarray(noise[None]))) == slowly(
        model, settings
    )


@pytest.mark.parametrize("beams", [2, 3])
@pytest.mark.parametrize("use_typical", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_sampling_equals_plain_python_on_the_same_noise(seed, use_typical, beams):
    rng = np.random.default_rng(seed + 1000)
    model, settings, noise = random_case(
        seed,
        beams,
        temperature=rng.uniform(0.4, 2),
        top_k=int(rng.integers(0, 12)),
        top_p=rng.uniform(0.3, 1),
        typical_sampling=use_typical,
        typical_mass=rng.uniform(0.3, 0.95),
    )

    assert as_the_reference(run(model, settings, jnp.asarray(noise[None]))) == slowly(
        model, settings, noise
    )


@pytest.mark.parametrize("seed", range(10))
def test_sampling_with_too_few_candidates_equals_plain_python(seed):
    """Two candidates a beam: less than are drawn, at the first step and after stop codes."""
    model, settings, noise = random_case(seed, 3, top_k=1, temperature=0.1)

    assert as_the_reference(run(model, settings, jnp.asarray(noise[None]))) == slowly(
        model, settings, noise
    )


def test_sampling_at_a_temperature_near_zero_is_search():
    model = TableModel(3, 13, stop_bias=-2.0)
    keys = jax.random.split(jax.random.key(0), 2)
    cold = SamplingConfig(temperature=1e-4, top_k=0, top_p=1.0, max_codes=STEPS)
    search = SamplingConfig(sample=False, max_codes=STEPS)

    np.testing.assert_array_equal(run(model, cold, keys).codes, run(model, search, keys).codes)


def test_a_row_depends_on_its_own_key_alone():
    model, keys = TableModel(4, 13, stop_bias=-1.0), jax.random.split(jax.random.key(2), 6)
    settings = SamplingConfig(temperature=2.0, max_codes=STEPS)
    together = run(model, settings, keys)
    alone = [run(model, settings, keys[i : i + 1]) for i in range(6)]

    np.testing.assert_array_equal(together.codes, np.concatenate([one.codes for one in alone]))
    assert len(set(together.lengths.tolist())) > 2  # rows end at different steps


def test_an_open_beam_can_win():
    model = TableModel(3, 13, stop_bias=-100.0)
    result = run(model, SamplingConfig(max_codes=STEPS), jax.random.split(jax.random.key(1), 2))

    assert result.lengths.tolist() == [STEPS, STEPS]
    assert result.truncated.all()


def test_growing_the_cache_changes_nothing(monkeypatch):
    model, keys = TableModel(7, 13, stop_bias=-4.0), jax.random.split(jax.random.key(7), 3)
    settings = SamplingConfig(max_codes=STEPS)
    whole = run(model, settings, keys)
    monkeypatch.setattr(loop, "FIRST_WINDOW", 3)
    searched.clear_cache()
    grown = run(model, settings, keys)
    searched.clear_cache()

    np.testing.assert_array_equal(grown.codes, whole.codes)


def stored(additions, size):
    """A store of `size` after (score, offered) pairs; the codes say which addition it was."""
    store = Hypotheses(
        jnp.zeros((1, size, 1), jnp.int32),
        jnp.zeros((1, size), jnp.int32),
        jnp.full((1, size), -jnp.inf),
        jnp.full((1, size), -1, jnp.int32),
    )
    for number, (score, offered) in enumerate(additions):
        store = add(
            store,
            jnp.array([offered]),
            jnp.array([[number]], jnp.int32),
            jnp.asarray(number),
            jnp.array([score], jnp.float32),
        )
    return store


def test_the_store_drops_its_lowest():
    store = stored([(-3.0, True), (-1.0, True), (-2.0, True)], 2)

    assert sorted(store.codes[0, :, 0].tolist()) == [1, 2]


def test_the_store_drops_the_earlier_of_equals():
    store = stored([(-2.0, True), (-2.0, True), (-1.0, True)], 2)

    assert sorted(store.codes[0, :, 0].tolist()) == [1, 2]


def test_the_store_refuses_what_only_equals_its_lowest():
    store = stored([(-2.0, True), (-1.0, True), (-2.0, True)], 2)

    assert sorted(store.codes[0, :, 0].tolist()) == [0, 1]


def test_the_store_takes_nothing_that_is_not_offered():
    store = stored([(-2.0, True), (-1.0, False)], 2)

    assert store.added.tolist() == [[0, -1]]


def test_free_store_slots_accept_any_sequence():
    store = stored([(-np.inf, True), (-5.0, True), (-np.inf, True)], 2)

    assert sorted(store.codes[0, :, 0].tolist()) == [0, 1]


def test_candidates_are_drawn_without_replacement_and_ranked_by_score():
    totals = jnp.log(jnp.array([[[0.1, 0.2, 0.3], [0.4, 0.0, 0.0]]]))
    ranked = candidates(totals, jnp.array([[1.0, 1.0, 1.0, 50.0, 1.0, 1.0]]))

    assert ranked.beams.tolist() == [[1, 0, 0, 0]]
    assert ranked.codes.tolist() == [[0, 2, 1, 0]]


def test_candidates_without_a_probability_fill_up_by_score():
    totals = jnp.array([[[0.0, -jnp.inf, -jnp.inf], [-1e9, -2e9, -jnp.inf]]])
    ranked = candidates(totals, jnp.ones((1, 6)))

    assert ranked.scores.tolist() == [[0.0, -1e9, -2e9, -jnp.inf]]
    assert not np.isnan(ranked.scores).any()


STOP = 9


def state_with(store, *, done=False, scores=(-1.0, -1.5)):
    """Two open beams, [7] and [8], of one row; the store's codes are the number of the addition."""
    return BeamState(
        step=jnp.asarray(1),
        codes=jnp.array([[[7], [8]]], jnp.int32),
        scores=jnp.array([scores], jnp.float32),
        ancestry=jnp.zeros((1, 2, 1), jnp.int32),
        seen=jnp.zeros((1, 2, 10), bool),
        finished=store,
        done=jnp.array([done]),
        logits=jnp.zeros((1, 2, 10)),
        cache=None,
    )


def ranked(scores, codes):
    """Four candidates, all of beam 1."""
    return Candidates(
        jnp.array([scores], jnp.float32), jnp.ones((1, 4), jnp.int32), jnp.array([codes])
    )


@pytest.mark.parametrize(("best", "done"), [(-2.0, True), (-1.99, False)])
def test_row_is_done_when_its_store_cannot_be_beaten(best, done):
    state = state_with(stored([(-2.0, True), (-1.0, True)], 2))
    state = select(state, ranked([best, -3.0, -4.0, -5.0], [3, 4, 5, 6]), jnp.asarray(0.0), STOP)

    assert state.done.tolist() == [done]


def test_row_with_free_store_slots_is_not_done():
    state = state_with(stored([(-1.0, True)], 2))
    state = select(state, ranked([-2.0, -3.0, -4.0, -5.0], [3, 4, 5, 6]), jnp.asarray(0.0), STOP)

    assert not state.done.any()


def test_the_length_that_divides_a_score_counts_the_stop_code():
    state = state_with(stored([], 2))
    state = select(state, ranked([-3.0, -4.0, -5.0, -6.0], [STOP, 4, 5, 6]), jnp.asarray(1.0), STOP)

    assert state.finished.scores.max() == -1.5
    assert state.finished.lengths.max() == 1
    assert state.finished.codes[0, 0].tolist() == [8]


def test_a_stop_code_below_the_beams_is_passed_over():
    state = state_with(stored([], 2))
    state = select(state, ranked([-1.0, -2.0, -3.0, -4.0], [3, 4, STOP, 5]), jnp.asarray(0.0), STOP)

    assert state.finished.added.tolist() == [[-1, -1]]


def test_a_row_that_is_done_takes_no_more_sequences():
    state = state_with(stored([(-2.0, True), (-3.0, True)], 2), done=True)
    state = select(state, ranked([-0.1, -0.2, -0.3, -0.4], [STOP, 4, 5, 6]), jnp.asarray(0.0), STOP)

    assert state.finished.scores.tolist() == [[-2.0, -3.0]]
    assert state.done.all()


@pytest.mark.parametrize(("done", "best"), [(False, 7), (True, 0)])
def test_open_beams_compete_at_the_end_unless_the_row_is_done(done, best):
    store = stored([(-2.0, True), (-3.0, True)], 2)

    assert finish(state_with(store, done=done), jnp.asarray(0.0)).codes.tolist() == [[best]]


def test_of_equal_sequences_the_later_wins():
    store = stored([(-1.0, True), (-1.0, True)], 2)

    assert finish(state_with(store, done=True), jnp.asarray(0.0)).codes.tolist() == [[1]]


@pytest.mark.parametrize("sample", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_the_start_code_is_never_chosen_where_it_may_not_be(sample):
    model = TableModel(8, 7, stop_bias=-6.0)
    model.table[:, model.start_code] += 30  # by far the likeliest
    settings = SamplingConfig(
        sample=sample, repetition_penalty=1.0, max_codes=STEPS, start_code=False
    )
    free = dataclasses.replace(settings, start_code=True)
    keys = jax.random.split(jax.random.key(9), 2)

    assert not (run(model, settings, keys).codes == model.start_code).any()
    assert (run(model, free, keys).codes == model.start_code).any()


@pytest.mark.parametrize("beams", [1, 3, 4])
def test_candidates_that_go_on_come_first(beams):
    stops = jnp.asarray(np.random.default_rng(beams).random((50, 2 * beams)) < 0.6)
    in_order = jnp.argsort(stops, axis=1, stable=True)[:, :beams]

    np.testing.assert_array_equal(_going_on(stops, beams), in_order)
