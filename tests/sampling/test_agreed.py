"""Codes that are certain before a search ends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table_model import TableModel

from indextts_jax.sampling import agreed, beam, decode
from indextts_jax.sampling.settings import SamplingConfig

STEPS, VOCABULARY, ROWS = 24, 13, 8
PENALTIES = (0.0, 1.0, -0.7, 2.5, 0.3)


@functools.partial(jax.jit, static_argnames=("strategy",))
def watched(table, first, source, numbers, *, strategy):
    """What is agreed before each step and after the last, and the result."""
    model = TableModel(0, VOCABULARY)
    model.table = table
    task = model.task(source, SamplingConfig())._replace(numbers=numbers, strategy=strategy)
    search = decode if strategy.beams == 1 else beam

    def certain(state):
        if strategy.beams == 1:
            return agreed.of_sequences(state, model.stop_code)
        return agreed.of_beams(state, numbers.length_penalty)

    def step(state, _):
        more = search.advance(task, state)
        return more, certain(more)

    cache = jnp.zeros((first.shape[0], 0, strategy.beams), jnp.int32)
    cache = task.grow(cache, strategy.max_codes)
    begun = search.begin(task, first, cache)
    last, seen = jax.lax.scan(step, begun, length=strategy.max_codes)
    if strategy.beams == 1:
        return certain(begun), seen, decode.finish(last, model.stop_code)
    return certain(begun), seen, beam.finish(last, numbers.length_penalty)


def case(seed, beams, penalty, sample):
    """A table whose stop code is rare or frequent: searches that end early, late and never."""
    rng = np.random.default_rng(seed)
    model = TableModel(seed, VOCABULARY, stop_bias=rng.uniform(-8, 2), scale=rng.uniform(0.5, 3))
    settings = SamplingConfig(
        beams=beams,
        sample=sample,
        length_penalty=penalty,
        repetition_penalty=rng.uniform(0.7, 5),
        temperature=rng.uniform(0.4, 2),
        top_k=int(rng.integers(0, 12)),
        top_p=rng.uniform(0.3, 1),
        max_codes=STEPS,
    )
    keys = jax.random.split(jax.random.key(seed), ROWS)
    first, _ = model.start(ROWS, beams)
    return watched(
        jnp.asarray(model.table), first, keys, settings.numbers, strategy=settings.strategy
    )


def check(begun, seen, result):
    """At every step, what is agreed begins the result, and only grows."""
    ends, whole = np.asarray(result.lengths), np.asarray(result.codes)
    codes, lengths, decided = map(np.asarray, seen)  # t b s, t b, t b
    assert not np.asarray(begun.lengths).any()
    assert (np.diff(lengths, axis=0) >= 0).all()
    assert (lengths <= ends).all()
    within = np.arange(codes.shape[-1]) < lengths[..., None]
    assert np.array_equal(codes[within], np.broadcast_to(whole, codes.shape)[within])
    assert (lengths == ends)[decided].all()


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_agreed_codes_begin_the_result(seed, beams, penalty):
    check(*case(seed, beams, penalty, sample=True))


@pytest.mark.nightly
@pytest.mark.parametrize("sample", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("beams", [1, 2, 3, 4, 5])
def test_agreed_codes_begin_the_result_of_any_search(beams, penalty, sample):
    for seed in range(40):  # of 8 rows each
        check(*case(seed, beams, penalty, sample=sample))


def test_what_all_beams_share_is_known_before_the_end():
    _, seen, result = case(1, 3, 0.0, sample=True)
    halfway = np.asarray(seen.lengths)[STEPS // 2]
    assert ((halfway > 0) & (np.asarray(result.lengths) > STEPS // 2)).any()
