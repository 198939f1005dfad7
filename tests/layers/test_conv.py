import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.layers.conv import Conv1d


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
