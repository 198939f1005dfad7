import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.layers.conv import BROAD, Conv1d
from indextts_jax.layers.training import convolution


@pytest.mark.parametrize("padding", [None, (0, 0), (2, 5)])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_a_product_for_each_tap_is_the_convolution(kernel, dilation, padding):
    conv = Conv1d(6, 7, kernel, dilation=dilation, padding=padding, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 20, 6), np.float32))
    weights = conv.kernel.get_value()

    np.testing.assert_allclose(
        conv._by_tap(x, weights), conv._convolve(x, weights), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(("kernel", "dilation", "padding"), [(5, 1, (2, 2)), (3, 2, (0, 5))])
def test_gradients_by_tap_are_those_of_the_convolution(kernel, dilation, padding):
    random = np.random.default_rng(0)
    x, taps = (
        jnp.asarray(random.standard_normal(size, np.float32))
        for size in ((2, 13, 6), (kernel, 6, 7))
    )
    made = convolution.convolve(x, taps, padding, dilation)
    seen = jnp.asarray(random.standard_normal(made.shape, np.float32))

    def loss(x, taps):
        return jnp.sum(seen * convolution.convolve(x, taps, padding, dilation))

    ours = jax.grad(loss, argnums=(0, 1))(x, taps)
    expected = convolution._derived(padding, dilation, x, taps, seen)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_wide_convolutions_match_torch():
    conv = Conv1d(BROAD, BROAD, 3, dilation=2, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 9, BROAD), np.float32))

    expected = conv._by_tap(x, conv.kernel.get_value()) + conv.bias.get_value()
    np.testing.assert_allclose(conv(x), expected, rtol=0, atol=1e-5)
