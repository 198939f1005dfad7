import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import WaveNetConfig
from indextts_jax.layers.wavenet import WaveNet, reflect

WIDTH = 7


def built(layers, kernel, dilation):
    """A WaveNet's graph, and random parameters."""
    cfg = WaveNetConfig(layers=layers, kernel=kernel, dilation=dilation)
    graph, state = nnx.split(nnx.eval_shape(lambda: WaveNet(WIDTH, cfg, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    return (
        cfg,
        graph,
        jax.tree.map(
            lambda leaf: 0.3 * rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
        ),
    )


def layer_of(params, cfg, j):
    """The parameters of layer j, however they are kept."""
    if j == cfg.layers - 1:
        return params["last"]
    if cfg.dilation == 1:
        return jax.tree.map(lambda leaf: leaf[j], params["layers"])
    return params["layers"][j]


def affine(params, x):
    return x @ np.asarray(params["kernel"], np.float64) + np.asarray(params["bias"], np.float64)


def padded_once(y, margin):
    """One row reflected; a row that is too short is first extended with zeros."""
    extra = max(margin + 1 - len(y), 0)
    padded = np.pad(np.pad(y, [(0, extra), (0, 0)]), [(margin, margin), (0, 0)], mode="reflect")
    return padded[: len(padded) - extra]


def plain(params, cfg, y, modulation):
    """The skips of one row, in float64 NumPy, layer after layer."""
    y, out = y.astype(np.float64), 0.0
    for j in range(cfg.layers):
        layer, step = layer_of(params, cfg, j), cfg.dilation**j
        padded = padded_once(y, (cfg.kernel - 1) * step // 2)
        kernel = np.asarray(layer["conv"]["kernel"], np.float64)
        a = sum(padded[k * step : k * step + len(y)] @ kernel[k] for k in range(cfg.kernel))
        a = a + np.asarray(layer["conv"]["bias"], np.float64) + modulation[j]
        rs = affine(layer["res_skip"], np.tanh(a[:, :WIDTH]) / (1 + np.exp(-a[:, WIDTH:])))
        y, out = (y + rs[:, :WIDTH], out + rs[:, WIDTH:]) if j < cfg.layers - 1 else (y, out + rs)
    return out


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 13])
def test_reflection_is_at_the_true_end(length):
    rng = np.random.default_rng(length)
    x = rng.standard_normal((1, 13, 2)).astype(np.float32)

    ours = reflect(jnp.asarray(x), jnp.array([length]), 3)

    assert ours.shape == (1, 19, 2)
    np.testing.assert_array_equal(ours[0, : length + 6], padded_once(x[0, :length], 3))


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_padded_rows_equal_the_plain_computation_of_each_row_alone(kernel, dilation):
    cfg, graph, params = built(3, kernel, dilation)
    rng = np.random.default_rng(kernel * dilation)
    lengths = np.array([41, *rng.integers(25, 41, 2)])  # the widest margin is 12 frames
    y = rng.standard_normal((3, 41, WIDTH)).astype(np.float32)
    y = np.where(np.arange(41)[:, None] < lengths[:, None, None], y, 1e4 * y)
    modulation = rng.standard_normal((3, 3, 2 * WIDTH)).astype(np.float32)

    ours = jax.jit(lambda p, *given: nnx.merge(graph, p)(*given))(params, y, modulation, lengths)

    for row, given, length, added in zip(np.asarray(ours), y, lengths, modulation, strict=True):
        alone = plain(params, cfg, given[:length], added)
        assert support.relative_errors(row[:length], alone)[1] < 3e-6


@pytest.mark.parametrize(("layers", "dilation"), [(1, 1), (1, 2), (2, 1), (4, 2)])
def test_any_number_of_layers(layers, dilation):
    cfg, graph, params = built(layers, 3, dilation)
    rng = np.random.default_rng(layers)
    y = rng.standard_normal((1, 11, WIDTH)).astype(np.float32)
    t = rng.standard_normal((1, WIDTH)).astype(np.float32)

    def run(params, y, t):
        wavenet = nnx.merge(graph, params)
        return wavenet(y, wavenet.modulation(t), jnp.array([11]))

    modulation = affine(params["condition"], t[0]).reshape(layers, 2 * WIDTH)
    alone = plain(params, cfg, y[0], modulation)
    assert support.relative_errors(jax.jit(run)(params, y, t)[0], alone)[1] < 3e-6


def test_one_modulation_may_serve_all_rows():
    _, graph, params = built(2, 5, 1)
    rng = np.random.default_rng(0)
    y = rng.standard_normal((3, 11, WIDTH)).astype(np.float32)
    one = rng.standard_normal((1, 2, 2 * WIDTH)).astype(np.float32)
    run = jax.jit(lambda p, *given: nnx.merge(graph, p)(*given, jnp.array([11, 7, 5])))

    np.testing.assert_allclose(
        run(params, y, one), run(params, y, np.repeat(one, 3, axis=0)), atol=1e-6
    )


@pytest.mark.parametrize(("layers", "kernel", "dilation"), [(3, 5, 1), (3, 3, 2)])
def test_a_frame_reaches_as_far_as_the_margin_and_no_farther(layers, kernel, dilation):
    _, graph, params = built(layers, kernel, dilation)
    wavenet = nnx.merge(graph, jax.tree.map(jnp.asarray, params))
    y = jnp.asarray(np.random.default_rng(0).standard_normal((1, 31, WIDTH), np.float32))
    changed = y.at[0, 15].add(1)
    given = (wavenet.modulation(jnp.ones((1, WIDTH))), jnp.array([31]))

    differs = np.any(wavenet(y, *given) != wavenet(changed, *given), axis=-1)[0]

    reached = np.arange(15 - wavenet.margin, 15 + wavenet.margin + 1)
    assert np.flatnonzero(differs).tolist() == reached.tolist()
