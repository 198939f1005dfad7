import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.layers.conv import Conv1d, DepthwiseConv1d
from indextts_jax.layers.training import depthwise


@pytest.mark.parametrize(("kernel", "padding"), [(1, None), (7, None), (5, (4, 0)), (3, (0, 2))])
def test_equals_a_loop_over_frames_and_taps(kernel, padding):
    channels, frames = 5, 11
    layer = DepthwiseConv1d(channels, kernel, padding=padding, rngs=nnx.Rngs(0))
    x = np.random.default_rng(1).normal(size=(2, frames, channels)).astype(np.float32)
    before = (kernel - 1) // 2 if padding is None else padding[0]

    expected = np.zeros((2, frames, channels), np.float64)
    for t in range(frames):
        for tap in range(kernel):
            if 0 <= t + tap - before < frames:
                expected[:, t] += x[:, t + tap - before] * layer.kernel[...][tap, 0]
    expected += layer.bias[...]

    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=0, atol=1e-6)


def test_has_the_parameters_and_the_result_of_a_grouped_convolution():
    ours = DepthwiseConv1d(7, 5, padding=(4, 0), bias=False, rngs=nnx.Rngs(0))
    grouped = Conv1d(7, 7, 5, groups=7, padding=(4, 0), bias=False, rngs=nnx.Rngs(1))
    grouped.kernel = ours.kernel
    x = jax.random.normal(jax.random.key(2), (2, 13, 7))

    np.testing.assert_allclose(ours(x), grouped(x), rtol=0, atol=1e-6)


def test_a_short_sequence_meets_only_the_taps_that_reach_it():
    layer = DepthwiseConv1d(3, 7, padding=(6, 0), bias=False, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 1, 3))

    np.testing.assert_allclose(layer(x)[0, 0], layer.kernel[...][-1, 0], rtol=1e-6)


def test_runs_in_the_dtype_of_its_kernel():
    layer = DepthwiseConv1d(3, 5, rngs=nnx.Rngs(0))
    layer.kernel = nnx.Param(layer.kernel[...].astype("bfloat16"))

    assert layer(jnp.ones((1, 4, 3))).dtype == "bfloat16"


def test_gradients_are_those_of_the_sum_of_products():
    random = np.random.default_rng(0)
    x, taps, seen = (
        jnp.asarray(random.normal(size=size), jnp.float32)
        for size in ((2, 13, 3), (5, 3), (2, 9, 3))
    )

    def plain(x, taps):
        return sum(x[:, i : i + 9] * taps[i] for i in range(5))

    ours, expected = (
        jax.grad(lambda *given, f=f: jnp.sum(seen * f(*given)), argnums=(0, 1))(x, taps)
        for f in (depthwise.depthwise, plain)
    )
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(depthwise._at_once(x, seen), expected[1], rtol=1e-5, atol=1e-5)
