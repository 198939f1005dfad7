import jax.numpy as jnp
import numpy as np

from indextts_jax.layers.rotary import _by_exchange, _by_halves, rotary_tables, rotate


def test_dimensions_rotate_with_the_other_half_of_the_head():
    x = np.random.default_rng(0).standard_normal((2, 11, 3, 10)).astype(np.float32)
    frequencies = 10_000.0 ** -(np.arange(5) / 5)
    turned = (x[..., :5] + 1j * x[..., 5:]) * np.exp(
        1j * np.arange(11)[:, None, None] * frequencies
    )

    ours = rotate(jnp.asarray(x), rotary_tables(11, 10))

    plainly = np.concatenate([turned.real, turned.imag], axis=-1)
    np.testing.assert_allclose(ours, plainly, atol=1e-5)


def test_heads_keep_their_dtype_and_rotate_in_float32():
    x = np.random.default_rng(1).standard_normal((1, 300, 1, 2)).astype(np.float32)
    half = rotate(jnp.asarray(x, jnp.bfloat16), rotary_tables(300, 2))
    full = rotate(jnp.asarray(x), rotary_tables(300, 2))

    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), full, atol=0.03)


def test_exchanged_halves_are_the_rotation():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((2, 11, 3, 10)), jnp.float32)
    tables = [jnp.asarray(table)[:, None] for table in rotary_tables(11, 10)]

    np.testing.assert_allclose(_by_exchange(x, *tables), _by_halves(x, *tables), atol=1e-6)
