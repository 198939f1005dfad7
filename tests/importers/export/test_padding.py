"""Layers that do nothing: a semantic encoder of few layers gives the same with them."""

import dataclasses

import jax
import numpy as np
import pytest

from importers.export.padding import with_published_layers
from importers.table import flatten
from indextts_jax.config import bundled_config
from indextts_jax.models.components import structure

TINY = bundled_config("tiny")


def small(layers):
    section = dataclasses.replace(TINY.semantic_encoder, layers=layers)
    config = dataclasses.replace(TINY, semantic_encoder=section)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: (0.3 * rng.normal(size=leaf.shape)).astype(np.float32),
        structure("semantic_encoder", config).expected,
    )
    params["var"] = 1 + params["var"] ** 2
    return config, params


def test_a_whole_encoder_is_left_as_it_is():
    params = {"blocks": {}}
    assert with_published_layers(TINY, params) == (TINY, params)


@pytest.mark.nightly
def test_layers_are_added_that_change_nothing():
    config, params = small(3)
    whole, padded = with_published_layers(config, params)
    expected = flatten(structure("semantic_encoder", whole).expected)
    assert {p: a.shape for p, a in flatten(padded).items()} == {
        p: leaf.shape for p, leaf in expected.items()
    }
    features = np.random.default_rng(1).normal(size=(1, 11, config.semantic_encoder.features))
    given = np.asarray(features, np.float32), np.ones((1, 11), bool)

    def run(config, params):
        bound = structure("semantic_encoder", config)
        return jax.jit(lambda tree, *arrays: bound.bind(tree)(*arrays))(params, *given)

    ours, theirs = run(config, params), run(whole, padded)
    # A norm of what is normalised already differs by half of its epsilon.
    np.testing.assert_allclose(theirs, ours, rtol=2e-5, atol=2e-5)
