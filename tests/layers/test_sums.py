import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.layers.training.sums import add_bias, channel_sums


def test_sums_are_by_channel():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 3), np.float32))

    np.testing.assert_allclose(channel_sums(x), x.sum(axis=(0, 1)), rtol=1e-5)


def test_adding_a_bias_has_the_gradients_of_a_sum():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((2, 5, 3), np.float32))
    bias = jnp.arange(3.0)

    def gradients(add):
        return jax.grad(lambda *given: jnp.sum(jnp.sin(add(*given))), (0, 1))(x, bias)

    for ours, expected in zip(gradients(add_bias), gradients(jnp.add), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
