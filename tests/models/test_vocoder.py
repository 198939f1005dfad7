import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx
from models_under_test import model

from indextts_jax.config import VocoderConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.models.vocoder import Block, Vocoder
from indextts_jax.runtime.stages import vocode
from indextts_jax.utils.strict_data import ConfigError

SIZES = {
    "mels": 5,
    "channels": 12,
    "rates": (3, 2),
    "kernels": (5, 4),
    "block_kernels": (3, 5),
    "block_dilations": ((1, 3), (2,)),
    "outer_kernel": 5,
    "log_scale": True,
}
SMALL = VocoderConfig(**SIZES)
FRAMES = 128  # a bucket of speech: one program serves the tests of the tiny set, and others
REACH = 9501  # samples on either side of a frame, at the published rates, kernels and dilations


def tiny(mel, length):
    """What the vocoder of the tiny set makes of one row of `FRAMES`, of which `length` count."""
    return np.asarray(vocode(model("tiny"), jnp.asarray(mel), jnp.array([length], jnp.int32)))


@functools.cache
def small(dtype="float32", cfg=SMALL):
    """A vocoder of odd sizes with random parameters, jitted."""
    graph, state = nnx.split(nnx.eval_shape(lambda: Vocoder(cfg, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: 0.15 * rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )
    kept = {"alpha", "beta"}
    params = jax.tree.map_with_path(
        lambda path, leaf: leaf if path[-1].key in kept else leaf.astype(dtype), params
    )
    run = jax.jit(lambda params, *given: nnx.merge(graph, params)(*given))
    return lambda mel, lengths: np.asarray(run(params, jnp.asarray(mel), jnp.asarray(lengths)))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize(
    ("file", "mel", "waveform", "name"),
    [
        ("bigvgan", "mel_in", "wav_from_mel", "bigvgan.wav_from_mel"),
        ("end_to_end", "mel", "wav", "vocoder.end_to_end"),
    ],
)
def test_the_waveform_is_the_reference_s(file, mel, waveform, name):
    given = support.golden(file)[mel].swapaxes(1, 2)
    reference = support.golden(file)[waveform][0]
    padded = np.pad(given, [(0, 0), (0, FRAMES - given.shape[1]), (0, 0)])

    ours = tiny(padded, given.shape[1])[:, : reference.shape[1]]

    support.assert_close(ours, reference, name)


def test_a_padded_row_of_the_tiny_set_is_what_zeros_after_it_make_it():
    given = support.golden("bigvgan")["mel_in"].swapaxes(1, 2)
    padded = 1e4 * noise(1, FRAMES, given.shape[2])
    padded[:, : given.shape[1]] = given

    ours = tiny(padded, given.shape[1])

    padded[:, given.shape[1] :] = 0
    np.testing.assert_array_equal(ours, tiny(padded, given.shape[1]))


def test_a_frame_reaches_as_far_as_the_published_layers_reach():
    cfg, published = support.tiny_config().vocoder, bundled_config("indextts2").vocoder
    assert (cfg.rates, cfg.kernels) == (published.rates, published.kernels)
    assert (cfg.block_kernels, cfg.block_dilations, cfg.outer_kernel) == (
        published.block_kernels,
        published.block_dilations,
        published.outer_kernel,
    )
    frame = FRAMES // 2
    mel = noise(1, FRAMES, cfg.mels)
    mel[:, frame] = np.nan

    reached = np.flatnonzero(np.isnan(tiny(mel, FRAMES)[0]))

    first, last = cfg.hop * frame - REACH, cfg.hop * (frame + 1) - 1 + REACH
    assert first > 0
    assert last < cfg.hop * FRAMES - 1
    np.testing.assert_array_equal(reached, np.arange(first, last + 1))


@pytest.mark.nightly
def test_full_rows_need_no_lengths():
    graph, state = nnx.split(Vocoder(SMALL, rngs=nnx.Rngs(0)))
    mel = jnp.asarray(noise(2, 13, SMALL.mels))

    def loss(params, *lengths):
        samples = nnx.merge(graph, params)(mel, *lengths)
        return jnp.sum(samples * jnp.cos(jnp.arange(samples.size).reshape(samples.shape))), samples

    gradients = jax.jit(jax.grad(loss, has_aux=True))
    params = nnx.to_pure_dict(state)
    (ours, samples), (expected, masked) = gradients(params), gradients(params, jnp.array([13, 13]))

    np.testing.assert_allclose(samples, masked, rtol=0, atol=1e-6)  # other fusions round otherwise
    for mine, theirs in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_a_row_depends_neither_on_its_padding_nor_on_its_neighbours():
    lengths = np.array([1, np.random.default_rng(2).integers(2, 13), 13])
    mel = noise(len(lengths), 13, SMALL.mels)
    padded = 1e4 * noise(*mel.shape, seed=3)
    for row, given, length in zip(padded, mel, lengths, strict=True):
        row[:length] = given[:length]

    ours = small()(padded, lengths)

    assert ours.shape == (len(lengths), 13 * SMALL.hop)
    for row, given, length in zip(ours, mel, lengths, strict=True):
        alone = small()(given[None, :length], [length])
        assert np.abs(alone).max() < 1
        support.assert_close(row[: length * SMALL.hop], alone[0], "vocoder.padding")
        np.testing.assert_array_equal(row[length * SMALL.hop :], 0)


def test_an_empty_row_is_silent():
    mel = np.full((1, 13, SMALL.mels), np.nan, np.float32)

    np.testing.assert_array_equal(small()(mel, [0]), 0)


def test_the_waveform_stays_within_one():
    ours = small()(100 * noise(1, 13, SMALL.mels), [13])

    assert ours.min() == -1
    assert ours.max() == 1


def test_a_block_adds_each_pair_of_convolutions_to_its_stream():
    channels, kernel, dilations = 3, 5, (1, 4)
    block = Block(channels, kernel, dilations, True, nnx.Rngs(0))
    for seed, activation in enumerate(block.activations):
        activation.alpha[...], activation.beta[...] = noise(2, channels, seed=seed)
    x = noise(1, 11, channels)

    graph, state = nnx.split(block)
    ours = jax.jit(lambda state, *given: nnx.merge(graph, state)(*given))(state, x, np.array([11]))

    def convolve(x, conv, dilation):
        reach = dilation * (kernel - 1) // 2
        x = np.pad(x, [(0, 0), (reach, reach), (0, 0)])
        taps = np.asarray(conv.kernel)
        shifted = [x[:, dilation * k : dilation * k + 11] @ taps[k] for k in range(kernel)]
        return sum(shifted) + np.asarray(conv.bias)

    def activate(x, activation):
        graph, state = nnx.split(activation)
        return np.asarray(jax.jit(lambda s, *g: nnx.merge(graph, s)(*g))(state, x, np.array([11])))

    y = x
    for i, dilation in enumerate(dilations):
        z = convolve(activate(y, block.activations[2 * i]), block.first[i], dilation)
        z = activate(z, block.activations[2 * i + 1])
        y = y + convolve(z, block.second[i], 1)
    np.testing.assert_allclose(ours, y, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
def test_narrow_weights_stay_close(dtype):
    mel = noise(2, 13, SMALL.mels)

    ours = small(dtype)(mel, [13, 7])

    assert ours.dtype == np.float32
    support.assert_close(ours, small()(mel, [13, 7]), f"vocoder.{dtype}")


def test_snake_parameters_stay_float32():
    expected = structure("vocoder", bundled_config("tiny"), "bfloat16").expected

    assert expected["activation_post"]["alpha"].dtype == jnp.float32
    assert expected["blocks"][0]["activations"][0]["beta"].dtype == jnp.float32
    assert expected["conv_pre"]["kernel"].dtype == jnp.bfloat16


def test_a_frame_of_the_published_size_is_256_samples():
    vocoder = structure("vocoder", bundled_config("indextts2"))
    mel = jax.ShapeDtypeStruct((2, 7, 80), jnp.float32)
    lengths = jax.ShapeDtypeStruct((2,), jnp.int32)

    out = jax.eval_shape(
        lambda params, *given: vocoder.bind(params)(*given), vocoder.expected, mel, lengths
    )

    assert out.shape == (2, 7 * 256)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"kernels": (5, 3)}, r"vocoder\.kernels: 3 must be its rate 2"),
        ({"kernels": (1, 4)}, r"vocoder\.kernels: 1 must be its rate 3"),
        ({"block_kernels": (3, 4)}, r"vocoder\.block_kernels .* must be odd"),
        ({"outer_kernel": 6}, r"vocoder\.outer_kernel 6 must be odd"),
        ({"outer_kernel": -1}, r"vocoder\.outer_kernel"),
        ({"block_dilations": ((1, 0), (2,))}, r"vocoder\.block_dilations"),
        ({"block_dilations": ((), (2,))}, r"vocoder\.block_dilations"),
        ({"block_kernels": (), "block_dilations": ()}, r"vocoder\.block_kernels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ConfigError, match=message):
        VocoderConfig(**SIZES | sizes)
