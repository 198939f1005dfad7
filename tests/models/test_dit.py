import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import DiTConfig, WaveNetConfig
from indextts_jax.models.components import structure
from indextts_jax.models.dit import AdaptiveRMSNorm, DiT
from indextts_jax.runtime.layout import to_device_layout

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


def time_first(array):
    """Time before channels; the golden arrays have channels first."""
    return np.asarray(array).swapaxes(-1, -2)


@functools.cache
def compiled_tiny(dtype):
    dit = structure("dit", support.tiny_config(), dtype)
    return jax.jit(lambda params, *given: dit.bind(params).velocity(*given))


def velocity(*given, dtype="float32"):
    """The tiny model's velocity, jitted over its parameters."""
    dit = structure("dit", support.tiny_config(), dtype)
    params = jax.tree.map(
        lambda leaf, want: jnp.asarray(leaf, want.dtype),
        support.tiny_params("dit"),
        dit.expected,
    )
    return np.asarray(compiled_tiny(dtype)(params, *(jnp.asarray(a) for a in given)))


def golden_inputs(rows=1):
    """Prompt, style and condition of the golden case, for some rows."""
    arrays = support.golden("cfm")
    frames = arrays["noise"].shape[-1]
    mel = time_first(arrays["prompt_mel"])
    prompt = np.pad(mel, [(0, 0), (0, frames - mel.shape[1]), (0, 0)])
    return [np.repeat(a, rows, axis=0) for a in (prompt, arrays["style"], arrays["condition"])]


def small(**changes):
    """A velocity field of odd sizes: its configuration, graph, and random parameters."""
    cfg = dataclasses.replace(SMALL, **changes)
    graph, state = nnx.split(nnx.eval_shape(lambda: DiT(cfg, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: 0.25 * rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )
    return cfg, graph, params


def inputs(cfg, rng, rows, frames):
    """Random x, prompt, times, style and condition."""
    shapes = [(frames, cfg.mels), (frames, cfg.mels), (), (cfg.style,), (frames, cfg.condition)]
    arrays = [rng.standard_normal((rows, *shape), np.float32) for shape in shapes]
    arrays[2] = np.abs(arrays[2]) % 1
    return arrays


@functools.cache
def compiled(graph):
    return jax.jit(lambda params, *given: nnx.merge(graph, params).velocity(*given))


def run_small(graph, params, *given):
    return np.asarray(compiled(graph)(params, *given))


class Plain:
    """One row's velocity, in float64 NumPy: joined inputs, and loops over the layers."""

    def __init__(self, cfg, params):
        self.cfg = cfg
        self.params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    @staticmethod
    def affine(params, x):
        return x @ params["kernel"] + params.get("bias", 0.0)

    @staticmethod
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def silu(self, x):
        return x * self.sigmoid(x)

    def time(self, params, t):
        freqs = params["freqs"].astype(np.float32)
        angles = (np.float32(1000) * t * freqs).astype(np.float64)  # rounded as the reference does
        x = np.concatenate([np.cos(angles), np.sin(angles)])
        return self.affine(params["fc_out"], self.silu(self.affine(params["fc_in"], x)))

    def norm(self, params, x, t):
        scale, bias = np.split(self.affine(params["projection"], t), 2)
        rms = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5)
        return scale * (rms * params["scale"]) + bias

    def attention(self, params, x):
        heads, half = self.cfg.heads, self.cfg.width // self.cfg.heads // 2
        turn = np.exp(1j * np.arange(len(x))[:, None] * 10_000.0 ** -(np.arange(half) / half))
        q, k, v = np.split(self.affine(params["qkv"], x), 3, axis=-1)
        mixed = []
        for head in range(heads):
            part = slice(head * 2 * half, (head + 1) * 2 * half)
            q1, k1 = ((a[:, part][:, :half] + 1j * a[:, part][:, half:]) * turn for a in (q, k))
            scores = np.real(q1 @ np.conj(k1).T) / np.sqrt(2 * half)
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed.append(scores / scores.sum(axis=-1, keepdims=True) @ v[:, part])
        return self.affine(params["out"], np.concatenate(mixed, axis=-1))

    def transform(self, x, t):
        held, depth = [], self.cfg.layers
        for i in range(depth):
            block = jax.tree.map(lambda leaf, i=i: leaf[i], self.params["blocks"])
            if i > depth // 2:
                skips = self.params["skips"]
                skip = jax.tree.map(lambda leaf, i=i: leaf[i - depth // 2 - 1], skips)
                x = self.affine(skip, np.concatenate([x, held.pop()], axis=-1))
            x = x + self.attention(block["attention"], self.norm(block["norm_attention"], x, t))
            y, gated = self.norm(block["norm_feed_forward"], x, t), block["feed_forward"]
            y = self.silu(self.affine(gated["gate"], y)) * self.affine(gated["up"], y)
            x = x + self.affine(gated["down"], y)
            if i < depth // 2:
                held.append(x)
        return self.norm(self.params["norm"], x, t)

    def wavenet(self, y, t):
        params, kernel, count = self.params["wavenet"], self.cfg.wavenet.kernel, len(y)
        modulation = np.split(self.affine(params["condition"], t), self.cfg.wavenet.layers)
        out = 0.0
        for j, added in enumerate(modulation):
            last = j == self.cfg.wavenet.layers - 1
            stacked = params.get("layers")
            layer = params["last"] if last else jax.tree.map(lambda leaf, j=j: leaf[j], stacked)
            padded = np.pad(y, [(kernel // 2, kernel // 2), (0, 0)], mode="reflect")
            a = sum(padded[k : k + count] @ layer["conv"]["kernel"][k] for k in range(kernel))
            signal, gate = np.split(a + layer["conv"]["bias"] + added, 2, axis=-1)
            rs = self.affine(layer["res_skip"], np.tanh(signal) * self.sigmoid(gate))
            if last:
                return out + rs
            y, out = y + rs[:, : self.cfg.width], out + rs[:, self.cfg.width :]
        return out

    def velocity(self, x, prompt, t, style, condition):
        p, frames = self.params, len(x)
        t1, t2 = self.time(p["time"], t), self.time(p["wavenet_time"], t)
        projected = self.affine(p["condition"], condition)
        joined = np.concatenate([x, prompt, projected, np.tile(style, (frames, 1))], axis=-1)
        parts = ("x", "prompt", "condition", "style")
        matrix = np.concatenate([p[f"merge_{part}"]["kernel"] for part in parts])
        h = self.transform(joined @ matrix + p["merge_condition"]["bias"], t1)
        r = self.affine(p["long_skip"], np.concatenate([h, x], axis=-1))
        y = self.wavenet(self.affine(p["wavenet_in"], r), t2) + self.affine(p["residual"], r)
        centred = y - y.mean(axis=-1, keepdims=True)
        y = centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-6)
        shift, scale = np.split(self.affine(p["final_modulation"], self.silu(t1)), 2)
        return self.affine(p["out"], self.affine(p["final"], y * (1 + scale) + shift))


def test_one_evaluation_is_the_reference_s():
    arrays = support.golden("cfm")
    noise = time_first(arrays["noise"])
    prompt, style, condition = golden_inputs()

    ours = velocity(noise, prompt, np.float32([0.3]), style, condition, [noise.shape[1]])

    support.assert_close(time_first(ours), arrays["estimator_t0_3"], "cfm.estimator_t0_3")


def test_padded_batch_matches_the_reference_outside_its_leak():
    arrays = support.golden("cfm")
    x, times, lengths = (arrays[f"batch_{name}"] for name in ("x", "t", "lengths"))
    x, times = time_first(x), times.astype(np.float32)
    prompt, style, condition = golden_inputs(rows=2)
    safe = lengths[1] - 2 * support.tiny_config().dit.wavenet.layers

    ours = velocity(x, prompt, times, style, condition, lengths)
    cut = [a[1:, : lengths[1]] for a in (x, prompt, condition)]
    alone = velocity(cut[0], cut[1], times[1:], style[1:], cut[2], lengths[1:])

    reference = time_first(arrays["batch_estimator"])
    support.assert_close(ours[0], reference[0], "cfm.batch_estimator")
    support.assert_close(ours[1, :safe], reference[1, :safe], "cfm.batch_estimator")
    support.assert_close(ours[1, : lengths[1]], alone[0], "cfm.batch_estimator")


@pytest.mark.parametrize(
    "layers", [1, 5, *(pytest.param(n, marks=pytest.mark.nightly) for n in (2, 4))]
)
def test_scanned_layers_equal_a_loop(layers):
    """Odd and even numbers of layers: with 4, layer 3 takes layer 1, and layer 0 goes unused."""
    cfg, graph, params = small(layers=layers)
    x, prompt, times, style, condition = inputs(cfg, np.random.default_rng(layers), 1, 17)

    ours = run_small(graph, params, x, prompt, times, style, condition, np.array([17]))

    plain = Plain(cfg, params).velocity(x[0], prompt[0], times[0], style[0], condition[0])
    rms, largest = support.relative_errors(ours[0], plain)
    assert rms < 2e-6
    assert largest < 6e-6


@pytest.mark.parametrize("seed", [2, 3])
def test_neither_padding_nor_neighbours_change_a_row(seed):
    cfg, graph, params = small()
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 31, 3)
    x, prompt, times, style, condition = inputs(cfg, rng, 3, 31)
    past = (np.arange(31) >= lengths[:, None])[..., None]

    def run(scale):
        fill = [np.where(past, scale * rng.standard_normal(a.shape, np.float32), a) for a in framed]
        given = (fill[0], fill[1], times, style, fill[2], lengths)
        return np.where(past, 0, run_small(graph, params, *given))

    framed = (x, prompt, condition)
    ours = run(0.0)
    np.testing.assert_array_equal(run(1e4), ours)

    pairs = zip((x, prompt, times, style, condition), inputs(cfg, rng, 3, 31), strict=True)
    mixed = [np.concatenate([a[:1], 1e2 * b[1:]]) for a, b in pairs]
    elsewhere = run_small(graph, params, *mixed, np.array([lengths[0], 31, 3]))
    np.testing.assert_array_equal(np.where(past[0], 0, elsewhere[0]), ours[0])


def test_a_row_equals_its_unpadded_run():
    cfg, graph, params = small()
    x, prompt, times, style, condition = inputs(cfg, np.random.default_rng(4), 1, 31)
    cut = [a[:, :23] for a in (x, prompt, condition)]

    padded = run_small(graph, params, x, prompt, times, style, condition, np.array([23]))
    alone = run_small(graph, params, cut[0], cut[1], times, style, cut[2], np.array([23]))

    # sums over 31 keys, of which 8 count for nothing, are taken in another order than those over 23
    assert support.relative_errors(padded[:, :23], alone)[1] < 4e-6


def test_the_unconditional_vector_is_what_zeros_prepare():
    cfg, graph, params = small()
    zeros = [np.zeros((1, 3, cfg.mels)), np.zeros((1, cfg.style)), np.zeros((1, 3, cfg.condition))]
    dit = nnx.merge(graph, jax.tree.map(jnp.asarray, params))

    np.testing.assert_allclose(
        dit.prepare(*(jnp.asarray(a, jnp.float32) for a in zeros))[0],
        np.tile(dit.prepare_unconditional(), (3, 1)),
        atol=1e-6,
    )


def test_one_table_of_times_serves_all_rows():
    cfg, graph, params = small()
    x, prompt, _, style, condition = inputs(cfg, np.random.default_rng(5), 2, 11)
    times, lengths = np.float32([0.6, 0.6]), jnp.array([11, 7])

    def prepared(params, x, prompt, style, condition):
        dit = nnx.merge(graph, params)
        tables = dit.tables(jnp.float32([0.2, 0.6]))
        second = jax.tree.map(lambda table: table[1:], tables)
        return dit.evaluate(x, dit.prepare(prompt, style, condition), second, lengths)

    ours = jax.jit(prepared)(params, x, prompt, style, condition)
    plain = run_small(graph, params, x, prompt, times, style, condition, lengths)

    np.testing.assert_allclose(ours[0], plain[0], atol=2e-5)
    np.testing.assert_allclose(ours[1, :7], plain[1, :7], atol=2e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("bfloat16", 2e-2), pytest.param("float16", 2.5e-3, marks=pytest.mark.nightly)],
)
def test_half_precision_stays_close(dtype, tolerance):
    arrays = support.golden("cfm")
    noise = time_first(arrays["noise"])
    prompt, style, condition = golden_inputs()

    ours = velocity(
        noise, prompt, np.float32([0.3]), style, condition, [noise.shape[1]], dtype=dtype
    )

    assert ours.dtype == np.float32
    assert support.relative_errors(time_first(ours), arrays["estimator_t0_3"])[0] < tolerance


def test_the_frequencies_stay_float32_in_half_precision():
    expected = structure("dit", support.tiny_config(), "bfloat16").expected

    assert expected["time"]["freqs"].dtype == expected["wavenet_time"]["freqs"].dtype == np.float32
    assert expected["time"]["fc_in"]["kernel"].dtype == jnp.bfloat16


def test_adaptive_norm_adds_epsilon_to_the_mean_square():
    """Of x = 0.01 the mean square is 1e-4, so that the epsilon of 1e-5 is a tenth of it."""
    y = AdaptiveRMSNorm.apply(
        jnp.full((1, 1, 3), 0.01), jnp.array([[[2.0, 2.0, 2.0], [5.0, 5.0, 5.0]]])
    )

    np.testing.assert_allclose(y, np.full((1, 1, 3), 5 + 0.02 / math.sqrt(1.1e-4)), rtol=1e-6)


@pytest.mark.parametrize(
    "layers", [3, *(pytest.param(n, marks=pytest.mark.nightly) for n in (1, 4, 5))]
)
def test_unstacked_layers_give_what_stacked_ones_give(layers):
    cfg = dataclasses.replace(SMALL, layers=layers)
    graph, state = nnx.split(DiT(cfg, rngs=nnx.Rngs(0)))
    stacked = nnx.to_pure_dict(state)
    unstacked = to_device_layout("dit", nnx.to_pure_dict(state), "cpu")
    assert isinstance(unstacked["blocks"]["attention"]["qkv"]["kernel"], tuple)
    assert not isinstance(stacked["blocks"]["attention"]["qkv"]["kernel"], tuple)
    rng = np.random.default_rng(0)
    sizes = ((2, 9, cfg.mels), (2, 9, cfg.mels), (2,), (2, cfg.style), (2, 9, cfg.condition))
    given = [jnp.asarray(rng.random(size, np.float32)) for size in sizes]
    run = jax.jit(lambda params: nnx.merge(graph, params).velocity(*given, jnp.array([9, 6])))

    np.testing.assert_allclose(run(unstacked), run(stacked), rtol=0, atol=1e-6)
