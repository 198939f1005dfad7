import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.layers.matmul import FEW, product, quantize_kernel, stream_kernel


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (FEW + 1,)])
@pytest.mark.parametrize("outputs", [64, 135])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_product_with_a_streamed_kernel_is_that_with_the_kernel(dtype, shape, outputs):
    x = jnp.asarray(numbers(*shape, 13), dtype)
    kernel = jnp.asarray(numbers(13, outputs), dtype)
    y = product(x, stream_kernel(kernel))
    exact = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)

    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)


def test_a_row_has_the_same_product_alone_and_among_few_to_rounding():
    # Equal bits only where XLA sums a row in one order whatever the number of rows: with AVX-512,
    # not with AVX2. What must be equal on every machine are the codes (test_slots, test_delivery).
    x = jnp.asarray(numbers(FEW, 40))
    kernel = stream_kernel(jnp.asarray(numbers(40, 70)))
    together = jax.jit(product)(x, kernel)
    for count in range(1, FEW):
        alone = jax.jit(product)(x[:count], kernel)
        np.testing.assert_allclose(alone, together[:count], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(1,), (3,), (2, FEW)])
def test_quantized_product_equals_product_with_rounded_weights(dtype, shape):
    x = jnp.asarray(numbers(*shape, 40), dtype)
    kernel = quantize_kernel(jnp.asarray(numbers(40, 70), dtype))
    weights = np.asarray(kernel.rows, np.float64) * np.asarray(kernel.scales, np.float64)[:, None]
    y = product(x, kernel)

    assert y.dtype == jnp.float32
    assert y.shape == (*shape, 70)
    np.testing.assert_allclose(y, np.asarray(x, np.float64) @ weights.T, atol=2e-3)


def test_quantization_error_is_at_most_half_a_level():
    kernel = numbers(40, 70)
    kernel[:, 3] = 0
    kept = quantize_kernel(jnp.asarray(kernel))
    weights = np.asarray(kept.rows, np.float64) * np.asarray(kept.scales)[:, None]

    assert np.all(np.abs(weights.T - kernel) <= np.abs(kernel).max(0) / 127 * (0.5 + 1e-5))
    assert not weights[3].any()


def test_a_row_of_zeros_has_a_product_of_zeros():
    kernel = quantize_kernel(jnp.asarray(numbers(40, 70)))

    assert not product(jnp.zeros((3, 40)), kernel).any()
