import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.layers.snake import AntiAliasedSnake, low_pass, squared_sine

CHANNELS = 3
# Half of the taps, which are symmetric, as the published file holds them.
HALF = [0.002028965, 0.009389466, -0.025543459, -0.057657383, 0.128572583, 0.443209797]


def activation(alpha, beta, log_scale=True):
    """The activation as a function of rows and lengths, jitted."""
    module = AntiAliasedSnake(CHANNELS, log_scale=log_scale, rngs=nnx.Rngs(0))
    graph, state = nnx.split(module)
    params = nnx.to_pure_dict(state) | {"alpha": jnp.asarray(alpha), "beta": jnp.asarray(beta)}
    return jax.jit(lambda x, lengths: nnx.merge(graph, params)(x, lengths))


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def stuffed(x, frequency, divisor):
    """One sequence, in float64: zeros between the samples, the filter, the sine, the filter."""
    taps = low_pass().astype(np.float64)
    wide = np.zeros((2 * (len(x) + 10), x.shape[1]))
    wide[::2] = np.pad(x.astype(np.float64), [(5, 5), (0, 0)], mode="edge")
    # Sample n of the doubled signal lies at 10 + n; tap j weighs what stands 5 - j after it.
    rows = range(10, 10 + 2 * len(x))
    y = np.array([2 * sum(taps[j] * wide[n + 5 - j] for j in range(12)) for n in rows])
    y = y + np.sin(frequency * y) ** 2 / divisor
    y = np.pad(y, [(5, 6), (0, 0)], mode="edge")
    return np.array([taps @ y[2 * m : 2 * m + 12] for m in range(len(x))])


def test_the_taps_are_the_published_ones():
    np.testing.assert_allclose(low_pass(), HALF + HALF[::-1], rtol=0, atol=4e-8)


@pytest.mark.parametrize("size", range(1, 21))
def test_two_phases_give_what_zero_stuffing_gives(size):
    alpha, beta = random(2, CHANNELS, seed=1)
    x = 3 * random(1, size, CHANNELS)

    ours = activation(alpha, beta)(x, jnp.array([size]))

    naive = stuffed(x[0], np.exp(alpha.astype(np.float64)), np.exp(beta.astype(np.float64)) + 1e-9)
    np.testing.assert_allclose(ours[0], naive, rtol=0, atol=4e-6)


def test_linear_parameters_are_not_exponentiated():
    alpha, beta = np.float32([0.5, 1.5, 3]), np.float32([2, 0.25, 7])
    x = random(1, 7, CHANNELS)

    ours = activation(alpha, beta, log_scale=False)(x, jnp.array([7]))

    np.testing.assert_allclose(ours[0], stuffed(x[0], alpha, beta + 1e-9), rtol=0, atol=4e-6)


def test_zero_divisor_is_avoided():
    zeros = np.zeros(CHANNELS, np.float32)
    ours = activation(zeros, zeros, log_scale=False)(random(1, 5, CHANNELS), jnp.array([5]))

    assert np.isfinite(ours).all()


def test_samples_past_the_end_have_no_effect():
    run = activation(*random(2, CHANNELS, seed=1))
    rng = np.random.default_rng(2)
    lengths = np.array([1, 2, *rng.integers(3, 16, 4), 17])
    x = 3 * random(len(lengths), 17, CHANNELS)
    padded = 1e4 * random(*x.shape, seed=3)
    for row, other, length in zip(padded, x, lengths, strict=True):
        row[:length] = other[:length]

    ours = run(padded, jnp.asarray(lengths))

    for row, other, length in zip(ours, x, lengths, strict=True):
        alone = run(other[None, :length], jnp.array([length]))
        np.testing.assert_allclose(row[:length], alone[0], rtol=0, atol=2e-6)


def test_the_end_is_where_the_zero_stuffed_signal_has_it():
    alpha, beta = random(2, CHANNELS, seed=1)
    x = 3 * random(1, 13, CHANNELS)

    ours = activation(alpha, beta)(x, jnp.array([6]))[0, :6]

    naive = stuffed(x[0, :6], np.exp(alpha), np.exp(beta) + 1e-9)
    np.testing.assert_allclose(ours, naive, rtol=0, atol=4e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_narrow_input_is_computed_in_float32(dtype):
    run = activation(*random(2, CHANNELS, seed=1))
    x = jnp.asarray(30 * random(1, 11, CHANNELS), dtype)

    ours = run(x, jnp.array([11]))

    assert ours.dtype == jnp.float32
    assert support.relative_errors(ours, run(x.astype(jnp.float32), jnp.array([11])))[0] == 0


@pytest.mark.parametrize("reach", [1e-3, 1.0, 30.0, 1e4])
def test_the_squared_sine_is_that_of_float64(reach):
    x = np.float32(reach) * np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    x = np.append(x, np.float32([0, np.pi / 4, np.pi / 2, -np.pi, 1.5 * np.pi]))

    ours, exact = np.asarray(squared_sine(jnp.asarray(x))), np.sin(x.astype(np.float64)) ** 2

    np.testing.assert_allclose(ours, exact, rtol=0, atol=2e-7)
    if reach <= 1:  # the small ones are as exact as the others
        np.testing.assert_allclose(ours, exact, rtol=4e-7)


def test_squared_sine_of_nonfinite_values_is_nan():
    assert np.isnan(squared_sine(jnp.float32([np.inf, -np.inf, np.nan]))).all()


def test_gradients_of_whole_signals_are_those_of_the_operations():
    module = AntiAliasedSnake(CHANNELS, log_scale=True, rngs=nnx.Rngs(0))
    graph, state = nnx.split(module)
    params = {name: jnp.asarray(random(CHANNELS, seed=n)) for n, name in enumerate(state)}
    x, seen = 3 * random(2, 9, CHANNELS, seed=2), random(2, 9, CHANNELS, seed=3)

    def gradients(lengths):
        def loss(params, x):
            return jnp.sum(seen * nnx.merge(graph, params)(x, lengths))

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, x)

    ours, derived = gradients(None), gradients(jnp.array([9, 9]))

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), ours, derived)
