import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.layers import attention

LENGTHS = [11, 5, 13]


def inputs(queries=7, keys=13):
    rng = np.random.default_rng(0)
    shapes = [(3, queries, 2, 10), (3, keys, 2, 10), (3, keys, 2, 10)]
    q, k, v = (jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes)
    return q, k, v, jnp.array(LENGTHS)


def plain(q, k, v):
    """One row's attention over all its keys, in float64 NumPy."""
    scores = np.einsum("fhk,ghk->hfg", q, k) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("hfg,ghk->fhk", weights / weights.sum(axis=-1, keepdims=True), v)


@pytest.mark.parametrize("form", [attention.attend, attention.together, attention.by_head])
def test_each_form_is_the_plain_computation_over_the_valid_keys(form):
    q, k, v, lengths = inputs()

    ours = form(q, k, v, lengths)

    for row, length in enumerate(LENGTHS):
        wide = [np.asarray(a[row], np.float64) for a in (q, k[:, :length], v[:, :length])]
        np.testing.assert_allclose(ours[row], plain(*wide), atol=1e-6)


@pytest.mark.parametrize("scores", [13, 3 * 13, 50, 7 * 13])
def test_blocks_of_queries_change_nothing(monkeypatch, scores):
    """One query a block, three, four of which the last has three, all seven."""
    monkeypatch.setattr(attention, "BLOCK_SCORES", scores)
    given = inputs()

    np.testing.assert_allclose(
        attention.by_head(*given), attention.together(*given), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("form", [attention.together, attention.by_head])
def test_row_without_keys_is_finite(form):
    q, k, v, lengths = inputs()

    assert np.isfinite(form(q, k, v, jnp.zeros_like(lengths))).all()


def test_a_cpu_takes_blocks_and_another_device_one_product():
    """What is compiled for a CPU holds a loop over the heads; for a GPU there is none."""

    def lowered(platform):
        call = jax.jit(attention.attend).trace(*inputs()).lower(lowering_platforms=(platform,))
        return call.as_text()

    assert "while" in lowered("cpu")
    assert "while" not in lowered("cuda")
