import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx
from models_under_test import model

from indextts_jax.config import StyleEncoderConfig
from indextts_jax.models.components import structure
from indextts_jax.models.style_encoder import (
    BatchNorm,
    ContextMask,
    DenseLayer,
    ResidualBlock,
    StyleEncoder,
    pooled,
    segment_means,
)

SMALL = StyleEncoderConfig(
    mels=13,
    head_width=3,
    width=10,
    growth=3,
    bottleneck=7,
    mask_width=5,
    layers=(2, 4),
    dilations=(1, 2),
    kernel=3,
    segment=11,
    style=17,
)


def random_params(module):
    """A module's graph, and parameters among which no statistics are equal."""
    graph, state = nnx.split(module)
    random = np.random.default_rng(0)

    def draw(path, leaf):
        noise = random.normal(size=leaf.shape).astype(np.float32)
        match path[-1].key:
            case "kernel":
                return noise / np.sqrt(np.prod(leaf.shape[:-1])).astype(np.float32)
            case "var":
                return np.exp(noise)
            case "scale":
                return 1 + 0.3 * noise
        return 0.3 * noise

    return graph, jax.tree_util.tree_map_with_path(draw, nnx.to_pure_dict(state))


@functools.cache
def small(dtype="float32"):
    """The small model, jitted over its parameters, and its parameters; statistics stay float32."""
    graph, params = random_params(nnx.eval_shape(lambda: StyleEncoder(SMALL, rngs=nnx.Rngs(0))))
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf if path[-1].key in ("mean", "var") else leaf.astype(dtype), params
    )
    return jax.jit(lambda params, *given: nnx.merge(graph, params)(*given)), params


def style(fbank, lengths, dtype="float32"):
    run, params = small(dtype)
    return np.asarray(run(params, jnp.asarray(fbank), jnp.asarray(lengths)))


def tiny(method):
    """A method of the tiny model on the golden prompt, in the program that validation compiles."""
    banks = jnp.asarray(support.golden("audio")["fbank_centered"][None])
    return model("tiny").run_stage("style_encoder", method, banks, jnp.array([banks.shape[1]]))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_style_vector_is_that_of_the_reference():
    support.assert_close(tiny("__call__"), support.golden("campplus")["style"], "campplus.style")


def test_the_head_gives_the_output_of_the_reference():
    ours = tiny("head")  # time before channels

    support.assert_close(
        ours.swapaxes(1, 2), support.golden("campplus")["head_out"], "campplus.head_out"
    )


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
def test_narrow_weights_stay_close(dtype):
    banks = noise(1, 61, 13)
    narrow = style(banks, [53], jnp.dtype(dtype))

    assert narrow.dtype == np.float32
    support.assert_close(narrow, style(banks, [53]), f"campplus.small_{dtype}")


@pytest.mark.parametrize("seed", range(5))
def test_padding_has_no_effect(seed):
    random = np.random.default_rng(seed)
    banks = noise(3, 61, 13, seed=seed)
    lengths = random.integers(2, 61, size=3)
    inside = np.arange(61) < lengths[:, None]
    filled = np.where(inside[..., None], banks, 1e4 * noise(3, 61, 13, seed=seed + 100))
    filled[0, lengths[0] :] = np.nan

    np.testing.assert_array_equal(style(banks, lengths), style(filled, lengths))


@pytest.mark.parametrize("length", [2, 22, 23, 44])
def test_a_padded_row_has_the_style_of_the_row_alone(length):
    banks = noise(1, 61, 13, seed=length)
    padded = style(banks, [length])

    support.assert_close(padded, style(banks[:, :length], [length]), "campplus.small_padding")


def test_neighbours_change_nothing():
    banks, other = noise(2, 61, 13), noise(2, 61, 13)
    other[1] *= 1e4

    np.testing.assert_array_equal(style(banks, [61, 40])[0], style(other, [61, 23])[0])


def test_a_batch_holds_the_styles_of_its_rows():
    banks, lengths = noise(2, 61, 13), [61, 37]
    alone = [style(banks[i : i + 1], [n])[0] for i, n in enumerate(lengths)]

    support.assert_close(style(banks, lengths), np.stack(alone), "campplus.small_batch")


def test_silence_has_a_style():
    assert np.isfinite(style(np.zeros((1, 61, 13), np.float32), [61])).all()


@pytest.mark.parametrize("size", [1, 6, 7, 8, 14, 23])
def test_segment_means_are_means_over_what_is_there(size):
    lengths = np.array([size, max(1, size - 3), max(1, size // 2)])
    x = noise(3, size, 5)
    x[np.arange(size) >= lengths[:, None]] = 0
    made = np.asarray(segment_means(jnp.asarray(x), jnp.asarray(lengths), 7))

    assert made.shape == (3, -(-size // 7), 5)
    for row, length in enumerate(lengths):
        for run, start in enumerate(range(0, length, 7)):
            expected = x[row, start : min(length, start + 7)].mean(axis=0)
            np.testing.assert_allclose(made[row, run], expected, atol=1e-6)


def test_pooling_takes_the_mean_and_the_unbiased_deviation():
    x = noise(2, 23, 5)
    made = np.asarray(pooled(jnp.asarray(x), jnp.array([23, 8])))

    for row, length in enumerate((23, 8)):
        valid = x[row, :length].astype(np.float64)
        expected = np.concatenate([valid.mean(axis=0), valid.std(axis=0, ddof=1)])
        np.testing.assert_allclose(made[row], expected, atol=1e-6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def convolved(x, kernel, dilation):
    """A convolution over time by its definition: `t i` with `k i o`."""
    reach = dilation * (len(kernel) // 2)
    padded = np.pad(x, ((reach, reach), (0, 0)))
    return sum(padded[dilation * k : dilation * k + len(x)] @ tap for k, tap in enumerate(kernel))


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_context_mask_weighs_each_segment(dilation):
    graph, params = random_params(
        nnx.eval_shape(lambda: ContextMask(SMALL, dilation=dilation, rngs=nnx.Rngs(0)))
    )
    x = noise(29, 7)
    segments = [x[start : start + 11].mean(axis=0) for start in (0, 11, 22)]
    context = x.mean(axis=0) + np.stack(segments)
    hidden = np.maximum(0, context @ params["fc_in"]["kernel"] + params["fc_in"]["bias"])
    weights = sigmoid(hidden @ params["fc_out"]["kernel"] + params["fc_out"]["bias"])
    local = convolved(x, params["local"]["kernel"], dilation)
    expected = local * np.repeat(weights, 11, axis=0)[:29]

    ours = nnx.merge(graph, params)(jnp.asarray(x)[None], jnp.array([29]))
    np.testing.assert_allclose(ours[0], expected, atol=2e-6)


def normalised(x, norm):
    return (x - norm["mean"]) / np.sqrt(norm["var"] + 1e-5) * norm["scale"] + norm["bias"]


def test_a_dense_layer_normalises_before_each_product():
    graph, params = random_params(
        nnx.eval_shape(lambda: DenseLayer(10, SMALL, dilation=1, rngs=nnx.Rngs(0)))
    )
    x = noise(1, 29, 10)
    first = np.maximum(0, normalised(x, params["norm_first"]))
    narrow = first @ params["bottleneck"]["kernel"]
    inner = np.maximum(0, normalised(narrow, params["norm_second"])).astype(np.float32)
    layer = nnx.merge(graph, params)

    ours = layer(jnp.asarray(x), jnp.array([29]))
    expected = layer.context(jnp.asarray(inner), jnp.array([29]))
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def imaged(x, kernel, stride):
    """A convolution over time and bands by its definition: `t m i` with `bands time i o`."""
    reach = len(kernel) // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    out = 0
    for band, taps in enumerate(kernel):
        for time, tap in enumerate(taps):
            shifted = padded[time : time + x.shape[0], band : band + x.shape[1]]
            out = out + shifted[:, ::stride] @ tap
    return out


@pytest.mark.parametrize(("stride", "bands"), [(1, 13), (2, 7)])
def test_a_residual_block_strides_over_the_bands_alone(stride, bands):
    graph, params = random_params(
        nnx.eval_shape(lambda: ResidualBlock(3, stride=stride, rngs=nnx.Rngs(0)))
    )
    x = noise(11, 13, 3)
    y = normalised(imaged(x, params["conv_first"]["kernel"], stride), params["norm_first"])
    y = imaged(np.maximum(0, y), params["conv_second"]["kernel"], 1)
    y = normalised(y, params["norm_second"])
    same = x
    if stride == 2:
        same = imaged(x, params["shortcut"]["kernel"], 2)
        same = normalised(same, params["norm_shortcut"])
    expected = np.maximum(0, y + same)

    ours = nnx.merge(graph, params)(jnp.asarray(x)[None], jnp.ones((1, 11), bool))
    assert ours.shape == (1, 11, bands, 3)
    np.testing.assert_allclose(ours[0], expected, atol=5e-6)


def test_the_head_holds_all_bands_of_a_channel_side_by_side():
    graph, params = random_params(nnx.eval_shape(lambda: StyleEncoder(SMALL, rngs=nnx.Rngs(0))))
    model = nnx.merge(graph, params)
    banks, lengths = jnp.asarray(noise(1, 9, 13)), jnp.array([9])
    image = model.image(banks, jnp.ones((1, 9), bool))

    assert image.shape == (1, 9, 2, 3)  # an eighth of 13 bands, rounded up
    flat = model.head(banks, lengths)
    np.testing.assert_array_equal(flat[0, :, 2], image[0, :, 0, 1])
    np.testing.assert_array_equal(flat[0, :, 5], image[0, :, 1, 2])


def test_statistics_stay_float32_whatever_the_weights():
    expected = structure("style_encoder", support.tiny_config(), "bfloat16").expected

    assert expected["norm_out"]["mean"].dtype == expected["norm_out"]["var"].dtype == jnp.float32
    assert expected["norm_out"]["scale"].dtype == jnp.bfloat16


def test_a_normalisation_without_scale_has_none():
    norm = BatchNorm(5, affine=False)

    assert norm.scale is None
    np.testing.assert_allclose(norm(jnp.ones((1, 5))), np.full((1, 5), (1 + 1e-5) ** -0.5))
