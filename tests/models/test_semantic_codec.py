import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx
from jax.extend.core import jaxprs_in_params

from indextts_jax.config import SemanticCodecConfig
from indextts_jax.models.components import structure
from indextts_jax.models.semantic_codec import ConvNeXt, Quantiser


@functools.cache
def compiled(method: str, dtype: str):
    codec = structure("semantic_codec", support.tiny_config(), dtype)
    params = jax.tree.map(
        lambda leaf, want: jnp.asarray(leaf, want.dtype),
        support.tiny_params("semantic_codec"),
        codec.expected,
    )
    run = jax.jit(lambda params, *given: getattr(codec.bind(params), method)(*given))
    return functools.partial(run, params)


def call(method, *given, dtype="float32"):
    """A method of the tiny model, jitted over its parameters."""
    return compiled(method, dtype)(*map(jnp.asarray, given))


def golden():
    codec = support.golden("codec")
    return codec, np.array([codec["semantic"].shape[1]])


def test_encoder_gives_the_output_of_the_reference():
    codec, lengths = golden()

    support.assert_close(
        call("encode", codec["semantic"], lengths), codec["encoder_out"], "codec.encoder_out"
    )


def test_quantise_gives_the_codes_and_features_of_the_reference():
    codec, lengths = golden()
    codes, quantized = call("quantize", codec["semantic"], lengths)

    np.testing.assert_array_equal(codes, codec["codes"])
    support.assert_close(quantized, codec["quantized"], "codec.quantized")


def test_codes_give_the_features_of_the_reference():
    codec, _ = golden()
    features = call("vq2emb", codec["codes"].astype(np.int32))

    support.assert_close(features, codec["vq2emb"], "codec.vq2emb")


@pytest.mark.parametrize("seed", range(5))
def test_padding_has_no_effect(seed):
    codec, _ = golden()
    random = np.random.default_rng(seed)
    semantic = np.repeat(codec["semantic"][:, :31], 3, axis=0)
    lengths = random.integers(1, 31, size=3)
    inside = np.arange(31) < lengths[:, None]
    noise = (1e4 * random.normal(size=semantic.shape)).astype(np.float32)
    noisy = np.where(inside[..., None], semantic, noise)

    encoded, again = call("encode", semantic, lengths), call("encode", noisy, lengths)
    np.testing.assert_array_equal(encoded[inside], again[inside])


def test_codes_and_features_of_a_padded_row_are_those_of_the_row_alone():
    codec, _ = golden()
    semantic = np.concatenate([codec["semantic"][:, :31]] * 2)
    semantic[0, 17:] = 1e4 * np.random.default_rng(0).normal(size=semantic[0, 17:].shape)
    codes, quantized = call("quantize", semantic, np.array([17, 31]))
    alone_codes, alone_quantized = call("quantize", semantic[:1, :17], np.array([17]))

    np.testing.assert_array_equal(codes[:1, :17], alone_codes)
    support.assert_close(quantized[:1, :17], alone_quantized, "codec.padding")


def test_a_padded_row_is_that_row_alone():
    codec, _ = golden()
    semantic, length = codec["semantic"][:, :31], 17
    padded = call("encode", semantic, np.array([length]))[:, :length]
    alone = call("encode", semantic[:, :length], np.array([length]))

    support.assert_close(padded, alone, "codec.padding")


def test_neighbours_change_nothing():
    codec, _ = golden()
    rows = np.concatenate([codec["semantic"][:, :31], codec["semantic"][:, 31:62]])
    other = rows.copy()
    other[1] = 1e4 * np.random.default_rng(0).normal(size=other[1].shape)
    lengths = np.array([31, 20])

    np.testing.assert_array_equal(
        call("encode", rows, lengths)[0], call("encode", other, lengths)[0]
    )


def test_the_scan_over_stacked_blocks_is_a_loop_over_blocks():
    codec, _ = golden()
    lengths = np.array([23])
    tiny = structure("semantic_codec", support.tiny_config())

    @jax.jit
    def loop(params, semantic):
        model = tiny.bind(params)
        mask = jnp.arange(31) < lengths[:, None]
        x = model.norm_in(model.embed(jnp.where(mask[..., None], semantic, 0)))
        for layer in range(support.tiny_config().semantic_codec.layers):
            x = jax.tree.map(lambda leaf, i=layer: leaf[i], model.blocks)(x, mask)
        return model.projection(model.norm_out(x))

    semantic = jnp.asarray(codec["semantic"][:, :31])
    looped = loop(support.tiny_params("semantic_codec"), semantic)
    support.assert_close(call("encode", semantic, lengths)[:, :23], looped[:, :23], "codec.scan")


def test_lookup_finds_the_nearest_direction_and_the_lowest_tie():
    cfg = SemanticCodecConfig(
        width=3, hidden=2, feed_forward=2, layers=1, kernel=3, codes=5, code_width=3
    )
    graph, state = nnx.split(nnx.eval_shape(lambda: Quantiser(cfg, rngs=nnx.Rngs(0))))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), nnx.to_pure_dict(state))
    rows = [[9.0, 9, 0], [0, 0.1, 0], [5, 0, 0], [0, 7, 0], [0, 0, -1]]
    params["project_in"]["kernel"] = jnp.eye(3)
    params["codebook"]["embedding"] = jnp.array(rows)
    frames = jnp.array([[[1.0, 0, 0], [0, 8, 0], [0, 0, -0.01], [3, 2.9, 0]]])

    np.testing.assert_array_equal(nnx.merge(graph, params).lookup(frames), [[2, 1, 4, 0]])


def test_features_of_codes_are_projected_rows_as_stored():
    quantiser = support.tiny_params("semantic_codec")["quantiser"]
    codes = np.array([[3, 63, 0], [5, 5, 7]])
    rows = quantiser["codebook"]["embedding"].astype(np.float64)[codes]
    expected = rows @ quantiser["project_out"]["kernel"] + quantiser["project_out"]["bias"]

    np.testing.assert_allclose(call("vq2emb", codes), expected, rtol=1e-5, atol=1e-6)


def test_products_are_exact_whatever_precision_the_caller_allows():
    codec = structure("semantic_codec", support.tiny_config())
    with jax.default_matmul_precision("bfloat16"):
        traced = jax.make_jaxpr(lambda params, *given: codec.bind(params).quantize(*given))(
            codec.expected, jnp.ones((1, 7, 32)), jnp.array([7])
        )

    precisions = set(products(traced.jaxpr))
    assert precisions == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}


def products(jaxpr):
    """The precision of every product in a program and the programs within it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation.params["precision"]
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_features_stay_close(dtype):
    codec, lengths = golden()
    encoded = call("encode", codec["semantic"], lengths, dtype=dtype)

    assert encoded.dtype == jnp.float32
    support.assert_close(encoded, codec["encoder_out"], f"codec.encoder_out_{dtype}")


def test_a_block_is_convolution_norm_and_exact_gelu_scaled_by_channel():
    cfg = SemanticCodecConfig(
        width=3, hidden=7, feed_forward=11, layers=1, kernel=5, codes=2, code_width=2
    )
    graph, state = nnx.split(nnx.eval_shape(lambda: ConvNeXt(cfg, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )
    x = 0.03 * rng.standard_normal((1, 13, 7)).astype(np.float32)  # small, so that epsilon shows
    params["depthwise"]["bias"][:] *= 0.03
    ours = nnx.merge(graph, jax.tree.map(jnp.asarray, params))(
        jnp.asarray(x), jnp.ones((1, 13), bool)
    )

    p = jax.tree.map(lambda leaf: leaf.astype(np.float64), params)
    padded = np.pad(x[0].astype(np.float64), [(2, 2), (0, 0)])
    y = sum(padded[k : k + 13] * p["depthwise"]["kernel"][k, 0] for k in range(5))
    y = y + p["depthwise"]["bias"]
    y = y - y.mean(axis=-1, keepdims=True)
    y = y / np.sqrt((y**2).mean(axis=-1, keepdims=True) + 1e-6)
    y = y * p["norm"]["scale"] + p["norm"]["bias"]
    y = y @ p["fc_in"]["kernel"] + p["fc_in"]["bias"]
    y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
    y = p["gamma"] * (y @ p["fc_out"]["kernel"] + p["fc_out"]["bias"])

    support.assert_close(ours, x + y, "codec.block")
