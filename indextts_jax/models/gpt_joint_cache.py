"""The GPT's KV cache on GPUs: prefix and codes in one array, written before they are attended to.

A decoding step on a GPU is bound by the number of its kernels, so there is one attention for all
entries. Keys and values both have the head width last, as products and kernels read them; another
order would be transposed at every step.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.layers.kernels.decode_attention import Filled, attend_filled
from indextts_jax.layers.masks import valid
from indextts_jax.models.gpt_cache import PrefixCache, transpose_keys

Entries = tuple[Float[Array, "b h j k"], Float[Array, "b h j k"]]  # keys and values of a layer
Attention = Callable[[int, Array], tuple[Float32[Array, "n h k"], Entries]]
"""From a layer and its tokens (m 3 h k): rows times beams, `n`, and perhaps padding behind them."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class JointCache:
    """Keys and values of the prefix, then of the codes by step and beam."""

    layers: Any  # tuple[Entries, ...], of arrays or abstract ones
    start: int = dataclasses.field(metadata={"static": True})  # first entry of a code
    beams: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, prefix: PrefixCache, beams: int, size: int) -> "JointCache":
        """The cache of a prefix, with capacity for `size` codes of each beam."""
        keys = map(transpose_keys, prefix.keys)
        layers = tuple(zip(keys, prefix.values, strict=True))
        return cls(layers, prefix.values[0].shape[2], beams).resized(size)

    @property
    def size(self) -> int:
        """Capacity in codes."""
        return (self.layers[0][0].shape[2] - self.start) // self.beams

    def prefix(self, lengths: Int[Array, " b"]) -> PrefixCache:
        """The prefix that the cache begins with; `lengths` are its valid positions."""
        kept = [[lax.slice_in_dim(a, 0, self.start, axis=2) for a in pair] for pair in self.layers]
        keys = tuple(transpose_keys(keys) for keys, _ in kept)
        return PrefixCache(keys, tuple(values for _, values in kept), lengths)

    def resized(self, size: int) -> "JointCache":
        """The cache with capacity for `size` codes."""
        more = (size - self.size) * self.beams  # negative padding truncates
        edges = [(0, 0, 0), (0, 0, 0), (0, more, 0), (0, 0, 0)]
        layers = jax.tree.map(lambda a: lax.pad(a, jnp.zeros((), a.dtype), edges), self.layers)
        return dataclasses.replace(self, layers=layers)


def at_once(
    index: Int[Array, ""] | Int[Array, " b"],
    inherited: Bool[Array, "b r s r"],
    lengths: Int[Array, " b"],
    cache: JointCache,
) -> Attention:
    """Writes a layer's entries, then attends to all entries: two products and one softmax.

    `lengths` are those of the prefix. `inherited` is the mask of entries that each beam has
    inherited; steps from `index` on are ignored.
    """
    batch, beams, steps = inherited.shape[:3]
    step = jnp.arange(steps)[:, None]  # s 1
    now = index[..., None, None, None]
    own = (step == now) & jnp.eye(beams, dtype=bool)[:, None]
    codes = jnp.where(step < now, inherited, own).reshape(batch, beams, -1)
    known = jnp.broadcast_to(valid(lengths, cache.start)[:, None], (batch, beams, cache.start))
    mask = jnp.concatenate([known, codes], axis=2)[:, None]  # b 1 r j
    place = cache.start + beams * index

    def written(entries: Array, new: Array) -> Array:
        new = jnp.moveaxis(new.reshape(batch, beams, *new.shape[1:]), 2, 1)  # b h r k
        if place.ndim == 0:
            return lax.dynamic_update_slice_in_dim(entries, new, place, 2)
        update = jax.vmap(functools.partial(lax.dynamic_update_slice_in_dim, axis=1))
        rows: Array = update(entries, new, place)
        return rows

    def attention(layer: int, tokens: Array) -> tuple[Array, Entries]:
        query, key, value = jnp.moveaxis(tokens[: batch * beams], 1, 0)
        query = query.reshape(batch, beams, *query.shape[1:])
        keys, values = map(written, cache.layers[layer], (key, value))
        scores = jnp.einsum("brhk,bhjk->bhrj", query, keys, preferred_element_type=jnp.float32)
        scores = jnp.where(mask, scores * query.shape[-1] ** -0.5, -jnp.inf)
        weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
        mixed = jnp.einsum("bhrj,bhjk->brhk", weights, values, preferred_element_type=jnp.float32)
        return mixed.reshape(-1, *mixed.shape[2:]), (keys, values)

    return attention


def in_one_kernel(
    index: Int[Array, ""] | Int[Array, " b"],
    inherited: Bool[Array, "b r s r"],
    lengths: Int[Array, " b"],
    cache: JointCache,
) -> Attention:
    """The same in one kernel for NVIDIA GPUs, which reads each row's filled entries only."""
    batch, beams = inherited.shape[:2]
    filled = Filled(lengths, jnp.broadcast_to(index * beams, batch))
    inherited = inherited.reshape(batch, beams, -1)

    def attention(layer: int, tokens: Array) -> tuple[Array, Entries]:
        keys, values = cache.layers[layer]
        mixed, keys, values = attend_filled(tokens, keys, values, filled, inherited)
        return mixed, (keys, values)

    return attention
