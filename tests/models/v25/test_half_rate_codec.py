"""The codec of version 2.5: rates, order of operations, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.config import HalfRateCodecConfig, bundled_config
from indextts_jax.engine.demo import random_params
from indextts_jax.models.components import structure
from indextts_jax.models.v25.half_rate_codec import HalfRateCodec, reach
from indextts_jax.runtime.versions.v25 import AUDIBLE_AHEAD

CONFIG = HalfRateCodecConfig(
    width=10,
    hidden=6,
    feed_forward=14,
    layers=2,
    kernel=7,
    codes=11,
    code_width=4,
    features_per_code=2,
    resampling_kernel=3,
)


@pytest.fixture(scope="module")
def codec():
    return HalfRateCodec(CONFIG, rngs=nnx.Rngs(0))


def test_every_code_becomes_two_features_and_then_the_convolution_follows(codec):
    codes, lengths = jnp.array([[3, 1, 4, 1, 5]]), jnp.array([5])
    rows = np.asarray(codec.decode_at_code_rate(codes, lengths))[0]
    twice = np.pad(np.repeat(rows, 2, axis=0), [(1, 1), (0, 0)])
    kernel, bias = np.asarray(codec.up.kernel[...]), np.asarray(codec.up.bias[...])
    expected = sum(twice[tap : tap + 10] @ kernel[tap] for tap in range(3)) + bias
    np.testing.assert_allclose(codec.decode(codes, lengths)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("features", "codes"), [(1, 1), (6, 3), (7, 4)])
def test_a_last_odd_feature_has_a_code_of_its_own(codec, features, codes):
    semantic = jax.random.normal(jax.random.key(1), (1, features, 10))
    found, vectors = codec.quantize(semantic, jnp.array([features]))
    assert found.shape == (1, codes)
    assert vectors.shape == (1, codes, 10)
    assert codec.code_lengths(jnp.array([features])).tolist() == [codes]


def test_padding_changes_no_code_and_no_feature(codec):
    semantic = jax.random.normal(jax.random.key(2), (1, 7, 10))
    alone = codec.quantize(semantic, jnp.array([7]))[0]
    noise = 1e3 * jax.random.normal(jax.random.key(3), (1, 6, 10))
    padded = codec.quantize(jnp.concatenate([semantic, noise], 1), jnp.array([7]))[0]
    assert padded[:, :4].tolist() == alone.tolist()
    more = jnp.concatenate([alone, jnp.full((1, 3), 9)], 1)
    features = codec.decode(more, jnp.array([4]))
    np.testing.assert_allclose(features[:, :8], codec.decode(alone, jnp.array([4])), atol=1e-5)
    assert not features[:, 8:].any()


def differences(config, params, aheads):
    """RMS of the change of a code's features if only `aheads` codes behind it are known."""
    at, whole = reach(config) + 5, 3 * reach(config)
    ids = jnp.asarray(np.random.default_rng(0).integers(0, config.codes, (1, whole)), jnp.int32)
    graph = nnx.split(nnx.eval_shape(lambda: HalfRateCodec(config, rngs=nnx.Rngs(0))))[0]
    decode = jax.jit(lambda params, known: nnx.merge(graph, params).decode(ids, known[None]))

    def features(known):
        return np.asarray(decode(params, jnp.asarray(known)))[0, 2 * at - 2 : 2 * at]

    full = features(whole)
    changes = [features(at + ahead) - full for ahead in aheads]
    return [float(np.sqrt(np.mean(change**2) / np.mean(full**2))) for change in changes]


def test_features_depend_on_codes_within_the_reach_alone(codec):
    assert reach(CONFIG) == 10
    far, near = differences(CONFIG, nnx.to_pure_dict(nnx.split(codec)[1]), [10, 0])
    assert far < 1e-6 < near


@pytest.mark.nightly
def test_what_fast_seams_do_not_wait_for_does_not_matter():
    """Published sizes, random weights: a difference of rounding, at 16 of 40 codes."""
    config = bundled_config("indextts2_5").semantic_codec
    params = random_params(structure("semantic_codec", bundled_config("indextts2_5")).expected, 0)
    fast, whole = differences(config, params, [AUDIBLE_AHEAD, 40])
    assert whole < 1e-6
    assert fast < 2e-6
