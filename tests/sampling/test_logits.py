import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from indextts_jax.sampling import logits
from indextts_jax.sampling.logits import (
    FEW,
    process,
    repetition_penalty,
    top_k,
    top_k_and_p,
    top_p,
    typical,
)
from indextts_jax.sampling.settings import SamplingConfig

SEEDS = range(4)


@functools.cache
def warpers():
    """The processors of transformers, and a function that applies one of them."""
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers.generation.logits_process")

    def apply(name, scores, *given, ids=None, **settings):
        warper = getattr(process, name)(*given, **settings)
        ids = torch.zeros(len(scores), 1, dtype=torch.long) if ids is None else torch.tensor(ids)
        return warper(ids, torch.tensor(scores)).numpy()

    return apply


def random_scores(seed, ties=False):
    rng = np.random.default_rng(seed)
    scores = 3 * rng.standard_normal((5, 37), np.float32)
    return np.round(scores) if ties else scores


def assert_same(ours, theirs):
    """Equal in what is removed, and in the rest up to rounding."""
    ours = np.asarray(ours)
    np.testing.assert_array_equal(np.isneginf(ours), np.isneginf(theirs))
    finite = np.isfinite(theirs)
    np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_repetition_penalty_equals_transformers(seed):
    apply, scores = warpers(), random_scores(seed)
    ids = np.random.default_rng(seed).integers(0, 37, (5, 11))
    seen = np.zeros((5, 37), bool)
    np.put_along_axis(seen, ids, True, axis=1)
    ours = repetition_penalty(jnp.asarray(scores), jnp.asarray(seen), 3.0)

    assert_same(ours, apply("RepetitionPenaltyLogitsProcessor", scores, 3.0, ids=ids))


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 2, 7, 36, 37, 100])
def test_top_k_equals_transformers(k, ties, keep):
    apply, scores = warpers(), random_scores(k, ties)
    ours = top_k(jnp.asarray(scores), k, keep)

    assert_same(ours, apply("TopKLogitsWarper", scores, k, min_tokens_to_keep=keep))


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 0.8, 0.99])
def test_top_p_equals_transformers(p, seed, keep):
    apply, scores = warpers(), random_scores(seed)
    scores[1, :30] = -np.inf
    ours = top_p(jnp.asarray(scores), 1 - p, keep)

    assert_same(ours, apply("TopPLogitsWarper", scores, p, min_tokens_to_keep=keep))


@pytest.mark.parametrize("p", [0.5, 0.75, 0.875])
def test_top_p_equals_transformers_where_the_sum_is_exactly_the_cut(p):
    """Probabilities are powers of two: a sum of exactly 1 - p is removed still."""
    apply = warpers()
    scores = np.log2(np.array([[0.125, 0.5, 0.25, 0.125]], np.float32)) * np.float32(np.log(2))
    ours = top_p(jnp.asarray(scores), 1 - p, 1)

    assert_same(ours, apply("TopPLogitsWarper", scores, p))


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mass", [0.01, 0.3, 0.9, 0.999])
def test_typical_equals_transformers(mass, seed, keep):
    apply, scores = warpers(), random_scores(seed)
    scores[2, 5:9] = -np.inf
    ours = typical(jnp.asarray(scores), mass, keep)

    assert_same(ours, apply("TypicalLogitsWarper", scores, mass, min_tokens_to_keep=keep))


@pytest.mark.parametrize("mass", [0.25, 0.75])
def test_typical_equals_transformers_where_the_sum_is_exactly_the_mass(mass):
    apply = warpers()
    scores = np.log2(np.array([[0.125, 0.5, 0.25, 0.125]], np.float32)) * np.float32(np.log(2))
    ours = typical(jnp.asarray(scores), mass, 1)

    assert_same(ours, apply("TypicalLogitsWarper", scores, mass))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("use_typical", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_processors_equal_transformers_in_this_order(seed, use_typical, beams):
    apply, scores = warpers(), random_scores(seed)
    ids = np.random.default_rng(seed).integers(0, 37, (5, 6))
    seen = np.zeros((5, 37), bool)
    np.put_along_axis(seen, ids, True, axis=1)
    settings = SamplingConfig(
        beams=beams,
        temperature=0.7,
        top_k=9,
        top_p=0.6,
        repetition_penalty=2.0,
        typical_sampling=use_typical,
        typical_mass=0.8,
    )
    keep = settings.strategy.keep
    theirs = apply("RepetitionPenaltyLogitsProcessor", scores, 2.0, ids=ids)
    if use_typical:
        theirs = apply("TypicalLogitsWarper", theirs, 0.8, min_tokens_to_keep=keep)
    theirs = apply("TemperatureLogitsWarper", theirs, 0.7)
    theirs = apply("TopKLogitsWarper", theirs, 9, min_tokens_to_keep=keep)
    theirs = apply("TopPLogitsWarper", theirs, 0.6, min_tokens_to_keep=keep)
    ours = process(jnp.asarray(scores), jnp.asarray(seen), settings.numbers, settings.strategy)

    assert_same(ours, theirs)


def test_penalty_counts_an_id_once_and_moves_both_signs_down():
    scores = jnp.array([[2.0, -2.0, 2.0, 0.0]])
    seen = jnp.array([[True, True, False, True]])

    assert repetition_penalty(scores, seen, 4.0).tolist() == [[0.5, -8.0, 2.0, 0.0]]


def test_top_k_keeps_all_that_equal_the_lowest():
    scores = jnp.array([[1.0, 3.0, 1.0, 0.0, 1.0]])

    assert jnp.isfinite(top_k(scores, 2, 1)).tolist() == [[True, True, True, False, True]]


def test_filters_that_are_off_change_nothing():
    scores = jnp.asarray(random_scores(0)).at[0, :9].set(-jnp.inf)
    settings = SamplingConfig(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0)
    seen = jnp.ones(scores.shape, bool)

    np.testing.assert_array_equal(
        process(scores, seen, settings.numbers, settings.strategy), scores
    )


def test_without_sampling_only_the_penalty_applies():
    scores = jnp.asarray(random_scores(0))
    settings = SamplingConfig(sample=False, temperature=0.1, top_k=1, top_p=0.1)
    seen = jnp.zeros(scores.shape, bool).at[:, 3].set(True)

    np.testing.assert_array_equal(
        process(scores, seen, settings.numbers, settings.strategy),
        repetition_penalty(scores, seen, 10.0),
    )


def test_other_numbers_do_not_compile_again():
    scores = jnp.asarray(random_scores(0))
    run = jax.jit(process, static_argnums=3)
    for settings in (SamplingConfig(), SamplingConfig(top_k=3, top_p=0.5, temperature=2.0)):
        run(scores, jnp.zeros(scores.shape, bool), settings.numbers, settings.strategy)

    assert run._cache_size() == 1


@pytest.mark.parametrize(("cut", "left"), [(0.25, 3), (0.5, 2), (0.75, 1)])
def test_top_p_removes_a_sum_of_exactly_the_cut(cut, left):
    """Four equal scores have sums of exactly a quarter, a half and three quarters."""
    kept = jnp.isfinite(top_p(jnp.zeros((1, 4)), cut, 1))

    assert kept.tolist() == [[i >= 4 - left for i in range(4)]]


@pytest.mark.parametrize("count", [1, 2])
def test_typical_needs_no_more_than_a_sum_of_exactly_the_mass(count):
    """Nearest to the expected surprise is id 2, then id 1; ids 0 and 3 are farther."""
    scores = jnp.log(jnp.array([[0.125, 0.5, 0.25, 0.125]]))
    order = jnp.array([[2, 1, 0, 3]])
    held = jnp.cumsum(jax.nn.softmax(jnp.take_along_axis(scores, order, -1)), -1)
    kept = jnp.isfinite(typical(scores, held[0, count - 1], 1))

    assert kept.tolist() == [[False, count == 2, True, False]]


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("cut", [0.0, 0.2, 0.999])
@pytest.mark.parametrize("k", [0, 1, 30, FEW, FEW + 1, 2000])
@pytest.mark.parametrize("kind", ["different", "ties", "mostly removed", "equal"])
def test_top_k_and_p_together_are_one_after_the_other(kind, k, cut, keep):
    rng = np.random.default_rng(k)
    scores = 3 * rng.standard_normal((3, 8 * FEW), np.float32)
    if kind == "ties":
        scores = np.round(scores, 1)  # more than FEW equal ones among the highest at times
    if kind == "mostly removed":
        scores[:, rng.permutation(8 * FEW)[10:]] = -np.inf
    if kind == "equal":
        scores[:] = 1.0
    together = jax.jit(top_k_and_p, static_argnums=3)(jnp.asarray(scores), k, cut, keep)

    np.testing.assert_array_equal(together, top_p(top_k(jnp.asarray(scores), k, keep), cut, keep))


def test_rows_of_a_batch_are_filtered_as_each_alone():
    """With settings of their own: some rows need all scores sorted, others a few."""
    rng = np.random.default_rng(0)
    scores = jnp.asarray(3 * rng.standard_normal((6, 2, 8 * FEW), np.float32)).at[4].set(1.0)
    k, cut = jnp.array([1, 30, FEW, FEW + 1, 5, 0]), jnp.array([0.2, 0.3, 0.0, 0.2, 0.5, 0.4])
    call = functools.partial(top_k_and_p, keep=2)

    together = jax.jit(jax.vmap(call))(scores, k, cut)

    for row, ours in enumerate(together):
        np.testing.assert_array_equal(ours, call(scores[row], k[row], cut[row]))


def test_a_batch_sorts_the_vocabulary_only_where_a_row_needs_it():
    """A condition that `vmap` turned into a selection would sort everything every time."""
    call = jax.vmap(functools.partial(top_k_and_p, keep=2))
    traced = jax.make_jaxpr(call)(jnp.zeros((4, 3, 8 * FEW)), jnp.ones(4, int), jnp.zeros(4))

    def outside_of_conditions(jaxpr):
        for equation in jaxpr.eqns:
            yield equation
            if equation.primitive.name != "cond":
                for inner in core.jaxprs_in_params(equation.params):
                    yield from outside_of_conditions(inner)

    sizes = [
        equation.invars[0].aval.shape[-1]
        for equation in outside_of_conditions(traced.jaxpr)
        if equation.primitive.name == "sort"
    ]
    assert sizes
    assert set(sizes) == {FEW}


@pytest.mark.parametrize("spread", [1, 8])  # of the highest ids: over all groups, or in one alone
def test_highest_of_groups_filter_as_all_scores(monkeypatch, spread):
    rng = np.random.default_rng(spread)
    scores = jnp.asarray(rng.standard_normal((3, 8 * logits.LEAST_GROUP + 2)), jnp.float32)
    scores = scores.at[:, : 40 * spread : spread].add(5).at[1, 77].set(scores[1, 85])
    expected = top_k_and_p(scores, 30, 0.2, 2)

    groups = FEW // logits.GROUP_TOP
    monkeypatch.setattr(
        logits, "_highest", lambda scores, count: logits._highest_of_groups(scores, groups)
    )
    logits._filter.cache_clear()
    ours = top_k_and_p(scores, 30, 0.2, 2)
    logits._filter.cache_clear()

    np.testing.assert_array_equal(ours, expected)
