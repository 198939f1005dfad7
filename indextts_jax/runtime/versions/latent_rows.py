"""The length regulator's input of codes that are still coming, from latents in increments."""

import collections
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.interface import GrowingRows
from indextts_jax.sampling.loop import windows

INCREMENTS = (100, 25)  # codes that a program takes at once; what is left is padded to the last


def grow(
    model: Model, growing: Sequence[GrowingRows], codes: Sequence[Int[np.ndarray, " n"]]
) -> None:
    """Extends each to all of its codes so far; increments of one shape share a call."""
    for one in growing:
        if one.prefix is None or _has_special(model, one):
            one.prefix = stages.latent_prefix(model, *one.conditions.common)
    while True:
        groups = collections.defaultdict(list)
        for one, now in zip(growing, codes, strict=True):
            if (left := len(now) - len(one.codes)) > 0:
                size = next((size for size in INCREMENTS if size <= left), INCREMENTS[-1])
                _make_room(model, one, len(one.codes) + size)
                shape = one.prefix.values[0].shape, one.cache.size
                groups[size, *shape].append((one, now))
        if not groups:
            return
        for (size, *_), group in groups.items():
            while group:
                # A power of two, so that few shapes are compiled.
                count = 1 << (len(group).bit_length() - 1)
                _extend(model, group[:count], size)
                del group[:count]


def capacities(model: Model) -> list[int]:
    """Capacities of caches in codes, in ascending order."""
    return list(windows(model.config.gpt.max_codes + INCREMENTS[-1]))


def _has_special(model: Model, one: GrowingRows) -> bool:
    """Whether its prefix is not that of generation, which drops some ids; false once it is made."""
    if len(one.codes):
        return False
    cfg, text = model.config.gpt, np.asarray(one.conditions.text)[0]
    spoken = text[: int(one.conditions.text_lengths[0])]
    return bool(np.isin(spoken, (cfg.start_text, cfg.stop_text)).any())


def _make_room(model: Model, one: GrowingRows, size: int) -> None:
    least = next(capacity for capacity in capacities(model) if capacity >= size)
    if one.cache is None:
        one.cache = stages.empty_latents(model, size=least)
    elif one.cache.size < least:
        one.cache = stages.resize_latents(model, one.cache, size=least)


def _extend(
    model: Model, group: Sequence[tuple[GrowingRows, Int[np.ndarray, " n"]]], size: int
) -> None:
    """Adds the next `size` codes, or those that are left, to each."""
    before = np.zeros((len(group), size), np.int32)  # the code before each
    new = np.zeros((len(group), size), np.int32)
    starts = np.asarray([len(one.codes) for one, _ in group], np.int32)
    for row, (one, now) in enumerate(group):
        shifted = np.concatenate([[model.config.gpt.start_code], now[:-1]])
        part = slice(len(one.codes), len(one.codes) + size)
        before[row, : len(shifted[part])] = shifted[part]
        new[row, : len(now[part])] = now[part]
    latents, caches = stages.more_latents(
        model,
        tuple(one.prefix for one, _ in group),
        tuple(one.cache for one, _ in group),
        jnp.asarray(before),
        jnp.asarray(starts),
    )
    made = np.asarray(stages.code_sequence(model, jnp.asarray(new), latents))
    for row, (one, now) in enumerate(group):
        one.cache = caches[row]
        rows = made[row, : len(now) - len(one.codes)]
        one.rows = rows if one.rows is None else np.concatenate([one.rows, rows])
        one.codes = now[: len(one.codes) + len(rows)]
