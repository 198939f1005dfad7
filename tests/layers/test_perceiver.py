import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import random_params
import support
from flax import nnx

from importers.table import flatten
from indextts_jax.config import PerceiverConfig
from indextts_jax.layers.perceiver import Perceiver

PROJECTED = PerceiverConfig(
    context=7, width=11, latents=5, layers=3, heads=3, head_width=2, feed_forward=13
)
EQUAL = dataclasses.replace(PROJECTED, context=11, latents=1)
FRAMES = 17
both_forms = pytest.mark.parametrize("cfg", [PROJECTED, EQUAL], ids=["projected", "equal"])


def run(cfg, context, mask, params=None):
    params = random_params.module(Perceiver, cfg)[1] if params is None else params
    return random_params.program(Perceiver, cfg)(params, jnp.asarray(context), jnp.asarray(mask))


def frames(cfg, rows=1, seed=1):
    shape = (rows, FRAMES, cfg.context)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def reference(cfg, context):
    """The published resampler on one row of valid frames, from its description, in float64."""
    params = flatten(random_params.module(Perceiver, cfg)[1])
    weights = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    context = context.astype(np.float64)
    if "context.kernel" in weights:
        context = context @ weights["context.kernel"] + weights["context.bias"]
    z, inner = weights["latents"], cfg.heads * cfg.head_width
    for layer in range(cfg.layers):
        block = {
            name.removeprefix("blocks."): stack[layer]
            for name, stack in weights.items()
            if name.startswith("blocks.")
        }
        rows = np.concatenate([z, context])
        query = z @ block["attention.query.kernel"]
        key, value = np.split(rows @ block["attention.key_value.kernel"], [inner], axis=1)
        mixed = np.empty_like(query)
        for head in range(cfg.heads):
            columns = slice(head * cfg.head_width, (head + 1) * cfg.head_width)
            for i in range(len(z)):
                scores = key[:, columns] @ query[i, columns] / math.sqrt(cfg.head_width)
                share = np.exp(scores - scores.max())
                mixed[i, columns] = share / share.sum() @ value[:, columns]
        z = z + mixed @ block["attention.out.kernel"]
        feed = {
            name.removeprefix("feed_forward."): weight
            for name, weight in block.items()
            if name.startswith("feed_forward.")
        }
        hidden = z @ feed["fc_in.kernel"] + feed["fc_in.bias"]
        value, gate = hidden[:, : cfg.feed_forward], hidden[:, cfg.feed_forward :]
        normal = np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2)(gate)
        z = z + (value * gate * normal) @ feed["fc_out.kernel"] + feed["fc_out.bias"]
    length = np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)
    return z / length * math.sqrt(cfg.width) * weights["norm.scale"]


@both_forms
def test_matches_the_description(cfg):
    context = frames(cfg)
    ours = run(cfg, context, np.ones((1, FRAMES), bool))

    assert ours.shape == (1, cfg.latents, cfg.width)
    support.assert_close(ours[0], reference(cfg, context[0]), "perceiver.numpy")


@both_forms
@pytest.mark.parametrize("filler", [1e4, np.nan])
@pytest.mark.parametrize("seed", range(2))
def test_a_row_is_its_unmasked_frames_alone_whatever_is_masked(cfg, filler, seed):
    context = frames(cfg, rows=3, seed=seed)
    random = np.random.default_rng(seed)
    mask = random.random((3, FRAMES)) < 0.6
    noise = (filler * random.normal(size=context.shape)).astype(np.float32)
    ours = run(cfg, np.where(mask[..., None], context, noise), mask)

    for row in range(3):
        alone = reference(cfg, context[row, mask[row]])
        support.assert_close(ours[row], alone, "perceiver.numpy")


def test_neighbours_change_nothing():
    context = frames(PROJECTED, rows=2)
    mask = np.arange(FRAMES) < np.array([[11], [FRAMES]])
    first = run(PROJECTED, context, mask)
    context[1] *= 1e4
    mask[1] = False
    second = run(PROJECTED, context, mask)

    support.assert_close(first[0], second[0], "perceiver.padding")


def test_without_a_frame_the_latents_attend_to_themselves():
    ours = run(PROJECTED, frames(PROJECTED), np.zeros((1, FRAMES), bool))
    expected = reference(PROJECTED, np.zeros((0, PROJECTED.context)))

    support.assert_close(ours[0], expected, "perceiver.numpy")


def test_equal_widths_have_no_projection():
    assert nnx.merge(*random_params.module(Perceiver, EQUAL)).context is None


@both_forms
def test_the_scan_over_stacked_blocks_is_a_loop_over_blocks(cfg):
    module = nnx.merge(*random_params.module(Perceiver, cfg))
    context = jnp.asarray(frames(cfg))
    mask = jnp.arange(FRAMES)[None] < 13

    clean = jnp.where(mask[..., None], context, 0)
    projected = clean if module.context is None else module.context(clean)
    keys = jnp.concatenate([jnp.ones((1, cfg.latents), bool), mask], axis=1)
    z = module.latents[...][None]
    for layer in range(cfg.layers):
        block = jax.tree.map(lambda leaf, i=layer: leaf[i], module.blocks)
        z = block(z, projected, keys)
    support.assert_close(run(cfg, context, mask), module.norm(z), "perceiver.scan")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_weights_stay_close_and_give_float32(dtype):
    context = frames(PROJECTED)
    mask = np.ones((1, FRAMES), bool)
    full = run(PROJECTED, context, mask)
    params = random_params.module(Perceiver, PROJECTED)[1]
    half = run(PROJECTED, context, mask, jax.tree.map(lambda leaf: leaf.astype(dtype), params))

    assert half.dtype == jnp.float32
    support.assert_close(half, full, f"perceiver.{dtype}")
