import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_search
from table_model import TableModel

from indextts_jax.sampling import loop
from indextts_jax.sampling.decode import choose, decode
from indextts_jax.sampling.loop import exponential, windows
from indextts_jax.sampling.settings import SamplingConfig

STEPS = 24


@functools.partial(jax.jit, static_argnames=("strategy",))
def decoded(table, first, source, numbers, *, strategy):
    """Codes of rows that share a table; `numbers` are arguments, so each case compiles once."""
    model = TableModel(0, table.shape[-1])
    model.table = table
    task = model.task(source, SamplingConfig())._replace(numbers=numbers, strategy=strategy)
    return decode(task, first, jnp.zeros((first.shape[0], 0, 1), jnp.int32))


def run(model, settings, source):
    first, _ = model.start(source.shape[0], 1)
    return decoded(
        jnp.asarray(model.table), first, source, settings.numbers, strategy=settings.strategy
    )


def as_the_reference(result, row=0):
    """The codes of a row with the stop code, where it came."""
    return result.codes[row, : result.lengths[row] + ~result.truncated[row]].tolist()


@pytest.mark.parametrize("seed", range(10))
def test_greedy_decoding_equals_plain_python(seed):
    model = TableModel(seed, 13, stop_bias=seed - 4)
    settings = SamplingConfig(beams=1, sample=False, max_codes=STEPS, repetition_penalty=2.0)
    result = run(model, settings, jax.random.split(jax.random.key(0), 1))

    assert as_the_reference(result) == slow_search.single(
        model, settings, model.start_code, model.stop_code
    )


@pytest.mark.parametrize("use_typical", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_sampling_equals_plain_python_on_the_same_noise(seed, use_typical):
    rng = np.random.default_rng(seed)
    model = TableModel(seed, 13, stop_bias=rng.uniform(-3, 2))
    settings = SamplingConfig(
        beams=1,
        top_k=int(rng.integers(0, 9)),
        top_p=rng.uniform(0.5, 1),
        temperature=rng.uniform(0.5, 2),
        repetition_penalty=rng.uniform(1, 4),
        typical_sampling=use_typical,
        max_codes=STEPS,
    )
    noise = rng.exponential(size=(STEPS, 13)).astype(np.float32)
    result = run(model, settings, jnp.asarray(noise[None]))

    assert as_the_reference(result) == slow_search.single(
        model, settings, model.start_code, model.stop_code, noise
    )


def test_past_the_end_stands_the_stop_code():
    model = TableModel(3, 13, stop_bias=2.0)
    settings = SamplingConfig(beams=1, max_codes=STEPS)
    result = run(model, settings, jax.random.split(jax.random.key(1), 5))

    past = np.arange(STEPS) >= np.asarray(result.lengths)[:, None]
    np.testing.assert_array_equal(np.asarray(result.codes) == model.stop_code, past)
    assert not result.truncated.any()


def test_a_row_without_a_stop_code_is_truncated():
    model = TableModel(3, 13, stop_bias=-100.0)
    result = run(
        model, SamplingConfig(beams=1, max_codes=STEPS), jax.random.split(jax.random.key(1), 2)
    )

    assert result.lengths.tolist() == [STEPS, STEPS]
    assert result.truncated.all()


def test_a_row_depends_on_its_own_key_alone():
    model, keys = TableModel(4, 13), jax.random.split(jax.random.key(2), 4)
    settings = SamplingConfig(beams=1, temperature=3.0, top_p=1.0, max_codes=STEPS)
    together = run(model, settings, keys)
    alone = [run(model, settings, keys[i : i + 1]).codes[0] for i in range(4)]

    np.testing.assert_array_equal(together.codes, np.stack(alone))
    assert len({tuple(row.tolist()) for row in alone}) == 4


def test_top_k_of_one_is_greedy():
    model, keys = TableModel(5, 13), jax.random.split(jax.random.key(3), 3)
    drawn = run(model, SamplingConfig(beams=1, top_k=1, max_codes=STEPS), keys)
    best = run(model, SamplingConfig(beams=1, sample=False, max_codes=STEPS), keys)

    np.testing.assert_array_equal(drawn.codes, best.codes)


def test_temperature_near_zero_is_greedy():
    model, keys = TableModel(6, 13), jax.random.split(jax.random.key(4), 3)
    settings = SamplingConfig(beams=1, temperature=1e-4, top_k=0, top_p=1.0, max_codes=STEPS)
    drawn = run(model, settings, keys)
    best = run(model, SamplingConfig(beams=1, sample=False, max_codes=STEPS), keys)

    np.testing.assert_array_equal(drawn.codes, best.codes)


def test_draws_follow_the_probabilities():
    scores = jnp.log(jnp.array([[0.5, 0.3, 0.15, 0.05]]))
    keys = jax.random.split(jax.random.key(5), 20_000)
    noise = exponential(keys, jnp.asarray(3), 4)
    codes = choose(jnp.broadcast_to(scores, noise.shape), noise)
    shares = np.bincount(codes, minlength=4) / len(keys)

    np.testing.assert_allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.015)


def test_noise_differs_from_step_to_step():
    keys = jax.random.split(jax.random.key(6), 2)
    first, second = (exponential(keys, jnp.asarray(step), 7) for step in (0, 1))

    assert not np.any(np.asarray(first) == np.asarray(second))


def test_windows_end_with_the_size_itself():
    assert list(windows(1500)) == [128, 256, 512, 1024, 1500]
    assert list(windows(128)) == [128]
    assert list(windows(48)) == [48]
    assert list(windows(1500, reads_filled=True)) == [512, 1500]
    assert list(windows(512, reads_filled=True)) == [512]


def test_growing_the_cache_changes_nothing(monkeypatch):
    model, keys = TableModel(7, 13, stop_bias=-3.0), jax.random.split(jax.random.key(7), 3)
    settings = SamplingConfig(beams=1, max_codes=STEPS)
    whole = run(model, settings, keys)
    monkeypatch.setattr(loop, "FIRST_WINDOW", 5)
    decoded.clear_cache()
    grown = run(model, settings, keys)
    decoded.clear_cache()

    np.testing.assert_array_equal(grown.codes, whole.codes)


@pytest.mark.parametrize("sample", [True, False])
def test_the_start_code_is_never_chosen_where_it_may_not_be(sample):
    model = TableModel(8, 7, stop_bias=-6.0)
    model.table[:, model.start_code] += 30  # by far the likeliest
    settings = SamplingConfig(
        beams=1, sample=sample, repetition_penalty=1.0, max_codes=STEPS, start_code=False
    )
    free = dataclasses.replace(settings, start_code=True)
    keys = jax.random.split(jax.random.key(9), 2)

    assert not (run(model, settings, keys).codes == model.start_code).any()
    assert (run(model, free, keys).codes == model.start_code).any()
