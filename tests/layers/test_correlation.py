import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.layers.correlation import OutputMajor, correlate
from indextts_jax.layers.upsample import sub_pixel_kernel

OPTIONS = {"padding": (3, 2), "dilation": 2, "spread": 1, "stride": 1}


def given(dtype="float32"):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 17, 5)), rng.standard_normal((3, 5, 7))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def test_output_major_kernel_gives_the_same_result():
    x, kernel = given()
    ours = correlate(x, OutputMajor.of(kernel), **OPTIONS)

    np.testing.assert_allclose(ours, correlate(x, kernel, **OPTIONS), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("platform", "dtype", "result"),
    [("cuda", "bfloat16", "bf16"), ("cuda", "float32", "f32"), ("cpu", "bfloat16", "f32")],
)
def test_half_precision_stays_so_on_cuda_alone(platform, dtype, result):
    """Asked for float32, XLA for GPUs converts both operands to it."""
    x, kernel = given(dtype)
    run = jax.jit(lambda x, kernel: correlate(x, kernel, **OPTIONS))
    program = support.lowered(run, x, kernel, platform=platform)
    (line,) = [line for line in program.splitlines() if "stablehlo.convolution" in line]

    assert line.endswith(f"x7x{result}>")


def test_sub_pixel_kernel_has_a_tap_for_each_sample():
    kernel = jnp.arange(8 * 3 * 2, dtype=jnp.float32).reshape(8, 3, 2)
    made = sub_pixel_kernel(kernel, 4)

    assert made.shape == (2, 3, 8)
    np.testing.assert_array_equal(made[0, 1, 2:4], kernel[5, 1])  # the later taps come first
