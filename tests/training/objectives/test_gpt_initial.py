import jax
import numpy as np
import pytest
import support

from importers.table import flatten
from indextts_jax.models.components import structure
from indextts_jax.training.objectives.gpt.initial import DRAWN, draw


@pytest.mark.parametrize("name", DRAWN)
def test_every_parameter_is_drawn_in_its_shape(name):
    config = support.tiny_config()
    drawn = flatten(draw(name, config, jax.random.key(0)))
    expected = flatten(structure(name, config).expected)

    assert {path: leaf.shape for path, leaf in drawn.items()} == {
        path: leaf.shape for path, leaf in expected.items()
    }


def test_branches_that_join_the_stream_are_smaller():
    drawn = flatten(draw("gpt", support.tiny_config(), jax.random.key(0)))
    layers = support.tiny_config().gpt.layers

    for path, size in {
        "blocks.attention.qkv.kernel": 0.02,
        "blocks.attention.out.kernel": 0.02 / np.sqrt(2 * layers),
        "blocks.feed_forward.fc_out.kernel": 0.02 / np.sqrt(2 * layers),
        "code_embedding.embedding": 0.02,
    }.items():
        np.testing.assert_allclose(np.std(drawn[path]), size, rtol=0.05)
    assert drawn["blocks.attention.qkv.bias"].shape == (layers, 3 * 64)
    assert not drawn["blocks.attention.qkv.bias"].any()
    assert (drawn["trunk_norm.scale"] == 1).all()


def test_kernels_of_conditioning_follow_their_inputs():
    drawn = flatten(draw("conditioning", support.tiny_config(), jax.random.key(0)))
    for path, inputs in {
        "speaker_encoder.subsample.project.kernel": 15 * 32,
        "speaker_encoder.blocks.feed_forward.fc_out.kernel": 64,
        "speaker_encoder.blocks.convolution.depthwise.kernel": 15,
        "emo_layer.kernel": 64,
    }.items():
        assert np.abs(drawn[path]).max() == pytest.approx(inputs**-0.5, rel=0.05)


def test_tables_of_positions_are_those_of_the_reference():
    drawn = draw("conditioning", support.tiny_config(), jax.random.key(0))
    for name in ("speaker_encoder", "emotion_encoder"):
        stored = support.tiny_params("conditioning")[name]["positions"]

        # The reference computes the angles in float32: 5,000 rows are 2e-4 radians off in the end.
        np.testing.assert_allclose(drawn[name]["positions"], stored, atol=5e-4)
        np.testing.assert_allclose(drawn[name]["positions"][:400], stored[:400], atol=4e-5)
