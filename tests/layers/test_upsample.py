import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.layers.upsample import ConvTranspose1d

INPUTS, OUTPUTS = 5, 3


def layer(kernel, rate):
    return ConvTranspose1d(INPUTS, OUTPUTS, kernel, rate, rngs=nnx.Rngs(0))


def scattered(x, kernel, bias, rate):
    """Each sample's multiple of the kernel, added where it belongs, in float64."""
    padding = (len(kernel) - rate) // 2
    y = np.tile(bias.astype(np.float64), (rate * len(x), 1))
    for t, sample in enumerate(x.astype(np.float64)):
        for j, tap in enumerate(kernel):
            if 0 <= (n := rate * t + j - padding) < len(y):
                y[n] += sample @ tap
    return y


# The last two have a kernel that is no multiple of the rate.
@pytest.mark.parametrize(
    ("kernel", "rate"), [(8, 4), (4, 2), (6, 2), (9, 3), (12, 4), (3, 3), (5, 1), (7, 3), (5, 3)]
)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_sample_adds_its_multiple_of_the_kernel(kernel, rate, size):
    module = layer(kernel, rate)
    x = np.random.default_rng(1).standard_normal((2, size, INPUTS), np.float32)

    ours = module(jnp.asarray(x))

    for row, given in zip(ours, x, strict=True):
        naive = scattered(given, np.asarray(module.kernel), np.asarray(module.bias), rate)
        np.testing.assert_allclose(row, naive, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("kernel", "rate"), [(8, 4), (9, 3), (7, 3)])
def test_matches_transposed_convolution_of_torch(kernel, rate):
    torch = pytest.importorskip("torch")
    module = layer(kernel, rate)
    x = np.random.default_rng(1).standard_normal((2, 11, INPUTS), np.float32)

    theirs = torch.nn.functional.conv_transpose1d(
        torch.tensor(x.swapaxes(1, 2)),
        torch.tensor(np.asarray(module.kernel).transpose(1, 2, 0)),
        torch.tensor(np.asarray(module.bias)),
        stride=rate,
        padding=(kernel - rate) // 2,
    )

    ours = np.asarray(module(jnp.asarray(x))).swapaxes(1, 2)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_runs_in_the_dtype_of_its_weights(kernel, dtype):
    graph, state = nnx.split(layer(kernel, 3 if kernel == 5 else 2))
    narrow = jax.tree.map(lambda leaf: leaf.astype(dtype), state)
    x = np.random.default_rng(1).standard_normal((1, 7, INPUTS), np.float32)

    ours = nnx.merge(graph, narrow)(jnp.asarray(x))

    assert ours.dtype == dtype
    np.testing.assert_allclose(
        ours.astype(jnp.float32), nnx.merge(graph, state)(jnp.asarray(x)), rtol=0, atol=2e-2
    )


@pytest.mark.parametrize(("kernel", "rate"), [(3, 4), (5, 2)])
def test_a_kernel_that_cannot_keep_the_length_is_refused(kernel, rate):
    with pytest.raises(ValueError, match=f"kernel of {kernel} does not fit a rate of {rate}"):
        layer(kernel, rate)
