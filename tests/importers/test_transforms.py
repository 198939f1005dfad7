"""Array rules against a few lines of NumPy, at odd sizes."""

import jax
import ml_dtypes
import numpy as np
import pytest

from importers import transforms
from importers.table import AnyOf, identity

RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_linear_transposes_a_matrix():
    weight = array(3, 5)
    assert transforms.linear(weight)[4, 2] == weight[2, 4]


def test_pointwise_transposes_a_convolution_of_one_tap():
    weight = array(3, 5, 1)
    np.testing.assert_array_equal(transforms.pointwise(weight), weight[:, :, 0].T)


def test_conv1d_puts_taps_first():
    weight = array(3, 5, 7)
    ours = transforms.conv1d(weight)
    assert ours.shape == (7, 5, 3)
    assert ours[6, 4, 2] == weight[2, 4, 6]


def test_conv2d_puts_taps_first():
    weight = array(2, 3, 5, 7)
    ours = transforms.conv2d(weight)
    assert ours.shape == (5, 7, 3, 2)
    assert ours[4, 6, 2, 1] == weight[1, 2, 4, 6]


def test_transposed_convolutions_keep_the_order_of_the_taps():
    weight = array(3, 5, 7)  # in, out, taps
    ours = transforms.conv_transpose1d(weight)
    assert ours.shape == (7, 3, 5)
    assert ours[6, 2, 4] == weight[2, 4, 6]


def test_a_fused_matrix_is_split_in_order():
    weight = array(6, 5)
    for part, ours in enumerate(transforms.split_linear(3)(weight)):
        np.testing.assert_array_equal(ours, weight[2 * part : 2 * part + 2].T)


def test_a_matrix_that_does_not_split_is_an_error():
    with pytest.raises(ValueError, match="7 rows do not split into 2"):
        transforms.split_linear(2)(array(7, 5))


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 5, 7), (1, 2)), ((3, 5), (1,)), ((2, 3, 5, 7), (1, 2, 3))]
)
def test_weight_norm_keeps_the_first_axis(shape, axes):
    direction, magnitude = array(*shape), array(shape[0], *(1,) * (len(shape) - 1))
    wide = direction.astype(np.float64)
    expected = magnitude * wide / np.sqrt((wide**2).sum(axes, keepdims=True))
    ours = transforms.folded(identity)(magnitude, direction)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_weight_norm_comes_before_the_turn():
    magnitude, direction = array(3, 1, 1), array(3, 5, 7)
    plain = transforms.folded(identity)(magnitude, direction)
    turned = transforms.folded(transforms.conv_transpose1d)(magnitude, direction)
    np.testing.assert_array_equal(turned, transforms.conv_transpose1d(plain))


def test_a_folded_weight_passes():
    weight = array(3, 5, 7)
    ours = transforms.folded(transforms.conv1d)(weight)
    np.testing.assert_array_equal(ours, transforms.conv1d(weight))


def test_a_magnitude_along_another_axis_is_an_error():
    with pytest.raises(ValueError, match="magnitude"):
        transforms.folded(transforms.conv1d)(array(1, 5, 1), array(3, 5, 7))


def test_weight_norm_in_bfloat16_is_folded_in_float():
    magnitude, direction = (array(*s).astype(ml_dtypes.bfloat16) for s in [(3, 1, 1), (3, 5, 7)])
    ours = transforms.folded(transforms.conv1d)(magnitude, direction)
    expected = transforms.folded(transforms.conv1d)(
        magnitude.astype(np.float32), direction.astype(np.float32)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_the_spellings_of_weight_norm():
    assert transforms.weight_norm("conv") == AnyOf(
        (
            ("conv.weight_g", "conv.weight_v"),
            ("conv.parametrizations.weight.original0", "conv.parametrizations.weight.original1"),
            ("conv.weight",),
        )
    )


@pytest.mark.parametrize(
    ("rule", "shapes"),
    [
        (transforms.linear, [(3, 5)]),
        (transforms.pointwise, [(3, 5, 1)]),
        (transforms.conv1d, [(3, 5, 7)]),
        (transforms.conv2d, [(2, 3, 5, 7)]),
        (transforms.conv_transpose1d, [(3, 5, 7)]),
        (transforms.folded(transforms.conv1d), [(3, 1, 1), (3, 5, 7)]),
    ],
)
def test_rules_run_on_shapes_alone(rule, shapes):
    abstract = jax.eval_shape(rule, *(jax.ShapeDtypeStruct(s, np.float32) for s in shapes))
    assert abstract.shape == rule(*(array(*s) for s in shapes)).shape


def test_weight_norm_equals_that_of_torch():
    torch = pytest.importorskip("torch")
    from torch.nn.utils.parametrizations import weight_norm

    module = weight_norm(torch.nn.ConvTranspose1d(3, 5, 7))
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    ours = transforms.folded(identity)(
        state["parametrizations.weight.original0"], state["parametrizations.weight.original1"]
    )
    np.testing.assert_allclose(ours, module.weight.detach().numpy(), rtol=1e-6)
