"""The form that trains against the form that speaks; small random networks."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import DiTConfig, WaveNetConfig
from indextts_jax.models.dit import DiT
from indextts_jax.models.training import dit as dit_training

SMALL = DiTConfig(
    width=30,
    layers=5,
    heads=3,
    feed_forward=37,
    mels=11,
    condition=13,
    style=7,
    frequencies=5,
    wavenet=WaveNetConfig(layers=3, kernel=5, dilation=1),
)


def small(**changes):
    """A velocity field of odd sizes: its configuration, graph, and random parameters."""
    cfg = dataclasses.replace(SMALL, **changes)
    graph, state = nnx.split(nnx.eval_shape(lambda: DiT(cfg, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: 0.25 * rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )
    return cfg, graph, params


def inputs(cfg, rows=3, frames=23):
    """Random x, prompt, times, style and condition, and lengths."""
    rng = np.random.default_rng(2)
    shapes = [(frames, cfg.mels), (frames, cfg.mels), (), (cfg.style,), (frames, cfg.condition)]
    arrays = [rng.standard_normal((rows, *shape), np.float32) for shape in shapes]
    arrays[2] = np.abs(arrays[2]) % 1
    return [*arrays, np.array([23, 17, 11][:rows])]


def both(graph, params, given, **options):
    """The velocity in the form that speaks, and in the form that trains."""

    def run(params, *given):
        dit = nnx.merge(graph, params)
        return dit.velocity(*given), dit_training.velocity(dit, *given, **options)

    return (np.asarray(v) for v in jax.jit(run)(params, *given))


def assert_equal(speaking, training, lengths):
    for a, b, length in zip(speaking, training, lengths, strict=True):
        rms, largest = support.relative_errors(b[:length], a[:length])
        assert rms < 1e-6
        assert largest < 6e-6


def test_values_match_inference():
    cfg, graph, params = small()
    given = inputs(cfg)

    assert_equal(*both(graph, params, given, remat=True), given[-1])


@pytest.mark.nightly
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("wavenet", [(1, 1), (3, 2), (4, 1)])
@pytest.mark.parametrize("remat", [False, True])
def test_any_number_of_layers(layers, wavenet, remat):
    number, dilation = wavenet
    cfg, graph, params = small(
        layers=layers, wavenet=WaveNetConfig(layers=number, kernel=3, dilation=dilation)
    )
    given = inputs(cfg)

    assert_equal(*both(graph, params, given, remat=remat), given[-1])


@pytest.mark.nightly
def test_gradients_match_inference():
    cfg, graph, params = small(layers=4)
    *arrays, lengths = inputs(cfg)
    given = list(map(jnp.asarray, arrays))
    mask = np.arange(23) < lengths[:, None]

    def loss(form, params):
        v = form(nnx.merge(graph, params), *given, jnp.asarray(lengths))
        return jnp.sum(jnp.sin(v) * mask[..., None])

    wanted = jax.jit(jax.grad(functools.partial(loss, DiT.velocity)))(params)
    training = functools.partial(dit_training.velocity, remat=True)
    found = jax.jit(jax.grad(functools.partial(loss, training)))(params)

    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(wanted), jax.tree.leaves(found), strict=True
    ):
        assert support.relative_errors(b, a)[0] < 2e-5, path


def test_zeroed_row_equals_the_unconditional_row():
    cfg, graph, params = small()
    x, *_ = inputs(cfg)
    frames = x.shape[1]

    def run(params, x):
        dit = nnx.merge(graph, params)
        nothing = [jnp.zeros(s) for s in ((frames, 11), (7,), (frames, 13))]
        prompt, style, condition = (jnp.broadcast_to(a, (3, *a.shape)) for a in nothing)
        base = jnp.broadcast_to(dit.prepare_unconditional(), (3, frames, cfg.width))
        return dit.prepare(prompt, style, condition), base

    prepared, guided = jax.jit(run)(params, x)

    np.testing.assert_allclose(prepared, guided, rtol=1e-6, atol=1e-6)
