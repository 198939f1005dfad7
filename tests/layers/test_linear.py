import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.layers.linear import FEW, TILE, product, streamed


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (FEW + 1,)])
@pytest.mark.parametrize("outputs", [TILE, 2 * TILE + 7])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_product_with_a_streamed_kernel_is_that_with_the_kernel(dtype, shape, outputs):
    x = jnp.asarray(numbers(*shape, 13), dtype)
    kernel = jnp.asarray(numbers(13, outputs), dtype)
    y = product(x, streamed(kernel), outputs)
    exact = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)

    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)
