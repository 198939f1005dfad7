"""Latents of codes as they come, against those of the whole pass."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.models.components import structure
from indextts_jax.models.gpt import GPT
from indextts_jax.models.gpt_cache import PrefixCache
from indextts_jax.models.gpt_latents import (
    LatentCache,
    empty_latents,
    latent_prefix,
    more_latents,
    resize_latents,
)
from indextts_jax.runtime.layout import to_device_layout
from indextts_jax.sampling.generate import prefilled

CODES = 61
TEXT = 23  # padded


@functools.cache
def jitted(function: Any, **static: Any) -> Any:
    bind = structure("gpt", support.tiny_config()).bind
    return jax.jit(lambda params, *given: function(bind(params), *given, **static))


@functools.cache
def params(platform: str) -> Any:
    return to_device_layout("gpt", jax.tree.map(jnp.asarray, support.tiny_params("gpt")), platform)


def call(function: Any, *given: Any, platform: str = "cpu", **static: Any) -> Any:
    return jitted(function, **static)(params(platform), *given)


def spoken(*ids: int) -> tuple[Any, ...]:
    """Conditioning latents, emotion and a padded text."""
    golden = support.golden("gpt")
    text = np.zeros((1, TEXT), np.int32)
    text[0, : len(ids)] = ids
    return golden["speaker_latents"], golden["emovec"], text, np.asarray([len(ids)], np.int32)


def codes_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 64, CODES).astype(np.int32)


def in_increments(
    prefix: PrefixCache, codes: np.ndarray, size: int, start_code: int, padding: int = 0
) -> np.ndarray:
    """The latents, `size` codes at a time, each increment followed by padding."""
    inputs = np.concatenate([[start_code], codes[:-1]]).astype(np.int32)
    cache: LatentCache = call(empty_latents, size=size + padding)
    found = []
    for start in range(0, len(codes), size):
        part = inputs[start : start + size]
        part = np.pad(part, (0, size - len(part) + padding), constant_values=7)
        if start + len(part) > cache.size:
            cache = call(resize_latents, cache, size=2 * (start + len(part)))
        starts = np.asarray([start], np.int32)
        made, (cache,) = call(more_latents, (prefix,), (cache,), part[None], starts)
        found.append(np.asarray(made)[0, : min(size, len(codes) - start)])
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("size", "padding"),
    [pytest.param(1, 0, marks=pytest.mark.nightly), (7, 3), (25, 0), (CODES, 0)],
)
def test_increments_give_the_latents_of_the_whole_pass(size: int, padding: int) -> None:
    given, codes = spoken(21, 7, 55, 3, 14, 60), codes_of(0)
    whole = call(GPT.latents, *given, codes[None], np.asarray([CODES]))[0]
    _, prefix = call(prefilled, *given)
    start = support.tiny_config().gpt.start_code
    ours = in_increments(prefix, codes, size, start, padding)
    support.assert_close(ours, whole, "gpt.increments")


def test_text_with_start_and_stop_tokens_has_a_prefix_of_its_own() -> None:
    given, codes = spoken(21, 0, 55, 1, 14, 60), codes_of(1)
    whole = call(GPT.latents, *given, codes[None], np.asarray([CODES]))[0]
    start = support.tiny_config().gpt.start_code
    prefix = call(latent_prefix, *given)
    support.assert_close(in_increments(prefix, codes, 25, start), whole, "gpt.increments")
    _, other = call(prefilled, *given)
    shared = in_increments(other, codes, 25, start)
    assert support.relative_errors(shared, whole)[0] > 1e-3


def test_rows_of_different_progress_share_a_call() -> None:
    texts = [spoken(21, 7, 55), spoken(262, 263, 805, 332, 77)]
    rows = [codes_of(2), codes_of(3)]
    prefixes = tuple(call(prefilled, *given)[1] for given in texts)
    start = support.tiny_config().gpt.start_code
    inputs = [np.concatenate([[start], codes[:-1]]).astype(np.int32) for codes in rows]
    caches = [call(empty_latents, size=50) for _ in rows]
    ahead = inputs[1][None, :25]
    _, (caches[1],) = call(more_latents, prefixes[1:], (caches[1],), ahead, np.asarray([0]))
    together = np.stack([inputs[0][:25], inputs[1][25:50]])
    made, _ = call(more_latents, prefixes, tuple(caches), together, np.asarray([0, 25]))
    for row, (given, codes, begin) in enumerate(zip(texts, rows, (0, 25), strict=True)):
        whole = call(GPT.latents, *given, codes[None], np.asarray([CODES]))[0]
        support.assert_close(made[row], whole[begin : begin + 25], "gpt.increments")
