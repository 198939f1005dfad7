import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import random_params
import support
from flax import nnx

from importers.table import flatten
from indextts_jax.config import ConformerConfig
from indextts_jax.layers.conformer import Conformer, frames_heard

# Of 31 frames, the width of the features masks those from 13 on, or none.
NARROW = ConformerConfig(
    features=13, width=15, layers=3, heads=3, feed_forward=7, kernel=5, positions=19
)
WIDE = dataclasses.replace(NARROW, features=37)
FRAMES = 31
both_widths = pytest.mark.parametrize("cfg", [NARROW, WIDE], ids=["narrow", "wide"])


def run(cfg, x, lengths, params=None):
    params = random_params.module(Conformer, cfg)[1] if params is None else params
    return random_params.program(Conformer, cfg)(params, jnp.asarray(x), jnp.asarray(lengths))


def frames(cfg, rows=1, seed=1):
    shape = (rows, FRAMES, cfg.features)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Reference:
    """The published encoder on one unpadded row, from its description, in float64 loops."""

    def __init__(self, params):
        self.weights = {
            name: np.asarray(leaf, np.float64) for name, leaf in flatten(params).items()
        }

    def linear(self, name, x):
        y = x @ self.weights[f"{name}.kernel"]
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return y * self.weights[f"{name}.scale"] + self.weights[f"{name}.bias"]

    def subsample(self, x):
        kernel, bias = self.weights["subsample.kernel"], self.weights["subsample.bias"]
        height, width = (x.shape[0] - 1) // 2, (x.shape[1] - 1) // 2
        y = np.empty((height, width, len(bias)))
        for i in range(height):
            for j in range(width):
                patch = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                y[i, j] = np.maximum(np.einsum("ij,ijc->c", patch, kernel[:, :, 0]) + bias, 0)
        return self.linear("subsample.project", y.reshape(height, -1))

    def attend(self, x, mask, heads):
        size, width = x.shape
        part = width // heads
        rows = self.linear("attention.position", self.weights["positions"][:size])
        query, key, value = (self.linear(f"attention.{n}", x) for n in ("query", "key", "value"))
        out = np.zeros_like(x)
        for head in range(heads):
            columns = slice(head * part, (head + 1) * part)
            for i in range(size):
                u = query[i, columns] + self.weights["attention.content_bias"][head]
                v = query[i, columns] + self.weights["attention.position_bias"][head]
                scores = np.array(
                    [u @ key[j, columns] + v @ rows[j, columns] for j in range(size) if mask[j]]
                ) / np.sqrt(part)
                weights = np.exp(scores - scores.max())
                out[i, columns] = weights / weights.sum() @ value[mask, columns]
        return self.linear("attention.out", out)

    def convolve(self, x, mask):
        x = x * mask[:, None]
        gated = self.linear("convolution.value_gate", x)
        width = x.shape[1]
        y = gated[:, :width] / (1 + np.exp(-gated[:, width:]))
        kernel = self.weights["convolution.depthwise.kernel"][:, 0]
        reach = len(kernel) // 2
        padded = np.pad(y, ((reach, reach), (0, 0)))
        y = sum(padded[i : i + len(x)] * tap for i, tap in enumerate(kernel))
        y = self.norm("convolution.norm_depthwise", y + self.weights["convolution.depthwise.bias"])
        return self.linear("convolution.out", y / (1 + np.exp(-y))) * mask[:, None]

    def __call__(self, cfg, x):
        mask = (np.arange(len(x)) < cfg.features)[2::2]
        y = self.subsample(x.astype(np.float64)) * np.sqrt(cfg.width)
        stacked = self.weights
        for layer in range(cfg.layers):
            prefix = "blocks."
            block = {
                name.removeprefix(prefix): stack[layer]
                for name, stack in stacked.items()
                if name.startswith(prefix)
            }
            self.weights = stacked | block
            y = y + self.attend(self.norm("norm_attention", y), mask, cfg.heads)
            y = y + self.convolve(self.norm("norm_convolution", y), mask)
            hidden = self.linear("feed_forward.fc_in", self.norm("norm_feed_forward", y))
            y = y + self.linear("feed_forward.fc_out", hidden / (1 + np.exp(-hidden)))
            y = self.norm("norm_out", y)
        self.weights = stacked
        return self.norm("norm", y), mask


def reference(cfg, x):
    return Reference(random_params.module(Conformer, cfg)[1])(cfg, x)


@both_widths
def test_matches_the_description(cfg):
    x = frames(cfg)
    ours, mask = run(cfg, x, [FRAMES])
    expected, expected_mask = reference(cfg, x[0])

    np.testing.assert_array_equal(mask[0], expected_mask)
    support.assert_close(ours[0], expected, "conformer.numpy")


@both_widths
@pytest.mark.parametrize("seed", range(3))
def test_padding_has_no_effect(cfg, seed):
    x = frames(cfg, rows=4, seed=seed)
    random = np.random.default_rng(seed)
    lengths = random.integers(3, FRAMES + 1, size=4)
    inside = np.arange(FRAMES) < lengths[:, None]
    noise = 1e4 * random.normal(size=x.shape).astype(np.float32)
    ours, masks = run(cfg, np.where(inside[..., None], x, noise), lengths)

    for row, length in enumerate(lengths):
        alone, mask = reference(cfg, x[row, :length])
        size = (length - 1) // 2
        assert mask.shape == (size,)
        np.testing.assert_array_equal(masks[row, :size], mask)
        assert not masks[row, size:].any()
        support.assert_close(ours[row, :size], alone, "conformer.numpy")


@pytest.mark.parametrize("filler", [np.nan, np.inf])
def test_the_padding_may_hold_anything(filler):
    x = frames(WIDE)
    clean, _ = run(WIDE, x, [17])
    x[:, 17:] = filler
    ours, _ = run(WIDE, x, [17])

    np.testing.assert_array_equal(ours[:, :8], clean[:, :8])


@both_widths
def test_neighbours_change_nothing(cfg):
    x = frames(cfg, rows=3)
    first, _ = run(cfg, x, [23, FRAMES, 9])
    x[1:] = 1e4 * frames(cfg, rows=2, seed=7)
    second, _ = run(cfg, x, [23, 5, FRAMES])

    support.assert_close(first[0, :11], second[0, :11], "conformer.padding")


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_row_too_short_for_one_frame_is_finite_and_counts_nothing(length):
    ours, mask = run(WIDE, frames(WIDE), [length])

    assert np.isfinite(ours).all()
    assert not mask.any()


@both_widths
def test_the_scan_over_stacked_blocks_is_a_loop_over_blocks(cfg):
    x = jnp.asarray(frames(cfg))
    ours, mask = run(cfg, x, [FRAMES])
    module = nnx.merge(*random_params.module(Conformer, cfg))

    real = jnp.ones(mask.shape, bool)
    y = module.subsample(x) * jnp.sqrt(float(cfg.width))
    for layer in range(cfg.layers):
        block = jax.tree.map(lambda leaf, i=layer: leaf[i], module.blocks)
        y = block(y, module.positions[...][: y.shape[1]], mask, real)
    support.assert_close(ours, module.norm(y), "conformer.scan")


def test_a_sequence_longer_than_the_position_table_is_refused():
    cfg = dataclasses.replace(WIDE, positions=14)
    with pytest.raises(ValueError, match="31 frames give 15, but the table has 14 positions"):
        run(cfg, frames(cfg), [FRAMES])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_weights_stay_close_and_give_float32(dtype):
    x = frames(WIDE)
    full, _ = run(WIDE, x, [FRAMES])
    params = random_params.module(Conformer, WIDE)[1]
    cast = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    half, _ = run(WIDE, x, [FRAMES], cast | {"positions": params["positions"]})

    assert half.dtype == jnp.float32
    support.assert_close(half, full, f"conformer.{dtype}")


def test_frames_past_the_used_ones_have_no_effect():
    x, heard = frames(NARROW), frames_heard(NARROW)
    whole, mask = run(NARROW, x, [FRAMES])

    def cut(size):  # as an array of its own size, but compiled once
        return run(NARROW, x, [size])[0][mask]

    assert heard < FRAMES - 2
    np.testing.assert_allclose(cut(heard), whole[mask], rtol=0, atol=1e-5)
    assert np.abs(cut(heard - 2) - whole[mask]).max() > 1e-3
