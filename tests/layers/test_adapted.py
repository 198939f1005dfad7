import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.layers.matmul import Streamed, product
from indextts_jax.layers.training.adapted import Adapted, attach, draw, select, with_keys
from indextts_jax.layers.training.dropout import dropout, row_keys

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 5, 7)), jnp.float32)
KERNEL = jnp.asarray(RNG.normal(size=(7, 11)), jnp.float32)
DOWN = jnp.asarray(RNG.normal(size=(7, 3)), jnp.float32)
UP = jnp.asarray(RNG.normal(size=(3, 11)), jnp.float32)


@pytest.mark.parametrize("base", [KERNEL, Streamed(KERNEL.T)], ids=["stored", "streamed"])
def test_product_is_that_with_the_changed_kernel(base):
    changed = KERNEL + 0.5 * DOWN @ UP

    np.testing.assert_allclose(
        product(X, Adapted(base, DOWN, UP, scale=0.5)), X @ changed, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("scale", "up"), [(0.0, UP), (2.0, jnp.zeros_like(UP))], ids=["strength 0", "new"]
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_change_is_the_base_bit_for_bit(scale, up, dtype):
    kernel = KERNEL.astype(dtype)

    ours = product(X, Adapted(kernel, DOWN, up, scale=scale))
    np.testing.assert_array_equal(ours, product(X, kernel))


def test_adapter_of_stacked_kernels_fits_them():
    params = {
        "blocks": {
            "attention": {"qkv": {"kernel": jnp.ones((4, 7, 11)), "bias": jnp.ones((4, 11))}},
            "feed_forward": {"fc_in": {"kernel": jnp.ones((4, 11, 13))}},
        },
        "head": {"kernel": jnp.ones((7, 2))},
    }
    chosen = select(params, ("blocks.attention.*.kernel", "head.*"))
    adapter = draw(jax.random.key(0), chosen, rank=3)
    made = attach(params, adapter, scale=2.0)

    assert jax.tree.map(jnp.shape, adapter["blocks"]) == {
        "attention": {"qkv": {"kernel": {"down": (4, 7, 3), "up": (4, 3, 11)}}}
    }
    assert made["head"]["kernel"].scale == 2.0
    assert made["blocks"]["attention"]["qkv"]["kernel"].base.shape == (4, 7, 11)
    assert (
        made["blocks"]["attention"]["qkv"]["bias"] is params["blocks"]["attention"]["qkv"]["bias"]
    )
    assert made["blocks"]["feed_forward"] is params["blocks"]["feed_forward"]
    assert isinstance(params["head"]["kernel"], jax.Array)


def test_a_pattern_that_fits_nothing_is_refused():
    with pytest.raises(ValueError, match=r"no parameter matches blocks\.\*\.weight"):
        select({"blocks": {"qkv": {"kernel": KERNEL}}}, ("*.kernel", "blocks.*.weight"))


def test_a_row_drops_the_same_numbers_in_any_batch():
    keys = row_keys(jax.random.key(3), jnp.array([5, 9]))
    both = dropout(jnp.ones((2, 40, 50)), keys, 0.25)
    alone = dropout(jnp.ones((1, 40, 50)), keys[1:], 0.25)

    np.testing.assert_array_equal(both[1:], alone)
    assert (both[0] != both[1]).any()
    assert np.unique(both).tolist() == pytest.approx([0, 1 / 0.75])
    assert both.mean() == pytest.approx(1, abs=0.03)


def test_adapted_kernels_drop_out_only_with_keys_and_each_by_itself():
    kernel = Adapted(jnp.zeros((7, 7)), jnp.eye(7), jnp.eye(7), rate=0.5)
    still = with_keys({"a": kernel, "b": kernel}, None)
    moved = with_keys({"a": kernel, "b": kernel}, row_keys(jax.random.key(0), jnp.arange(2)))

    np.testing.assert_allclose(product(X, still["a"]), X, rtol=1e-6)
    first, second = (product(X, moved[name]) for name in "ab")
    assert (first != second).any()
    assert ((first == 0) | np.isclose(first, 2 * X)).all()
