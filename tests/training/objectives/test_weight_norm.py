import jax
import numpy as np

from indextts_jax.config import bundled_config
from indextts_jax.models.components import structure
from indextts_jax.training.objectives.vocoder import weight_norm
from indextts_jax.training.objectives.vocoder.weight_norm import outputs_or_inputs

SHAPE = {"kernel": np.zeros((4, 5, 2)), "bias": np.zeros(2)}


def drawn(expected):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), expected)


def test_folding_is_the_inverse_of_unfolding():
    params = drawn(
        {"ups": {0: SHAPE}, "conv": {"kernel": np.zeros((3, 5, 2)), "bias": np.zeros(2)}}
    )

    again = weight_norm.fold(weight_norm.unfold(params, outputs_or_inputs), outputs_or_inputs)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), again, params)


def test_plain_kernels_are_folded_already():
    params = {"conv": {"kernel": np.ones((3, 2, 2), np.float32), "bias": np.ones(2, np.float32)}}

    assert weight_norm.fold(params)["conv"]["kernel"] is params["conv"]["kernel"]


def test_the_length_of_a_direction_does_not_matter():
    params = weight_norm.unfold({"conv": drawn({"kernel": np.zeros((3, 5, 2))})})
    longer = jax.tree.map(np.asarray, params)
    longer["conv"]["kernel"]["direction"] = 7 * longer["conv"]["kernel"]["direction"]

    ours, expected = (weight_norm.fold(p)["conv"]["kernel"] for p in (longer, params))

    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_norms_are_by_output_but_of_transposed_convolutions_by_input():
    expected = structure("vocoder", bundled_config("mini")).expected
    params = weight_norm.unfold(drawn(expected), outputs_or_inputs)

    assert params["conv_pre"]["kernel"]["gain"].shape == (1, 1, 128)
    assert params["ups"][0]["kernel"]["gain"].shape == (1, 128, 1)
    assert params["conv_post"]["kernel"]["gain"].shape == (1, 1, 1)


def test_a_kernel_of_zeros_stays_finite():
    params = weight_norm.unfold({"kernel": np.zeros((3, 5, 2), np.float32)})

    np.testing.assert_array_equal(weight_norm.fold(params)["kernel"], 0)
