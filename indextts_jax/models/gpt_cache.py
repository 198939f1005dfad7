"""The GPT's KV cache: one part for the prefix, one for the codes."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

FIRST_PIECE = 128  # codes in the first block


class PrefixCache(NamedTuple):
    """Keys and values of conditioning, text and start code, shared by the beams of a row."""

    keys: tuple[Float[Array, "b h k p"], ...]  # one array for each layer
    values: tuple[Float[Array, "b h p k"], ...]
    lengths: Int[Array, " b"]  # valid positions


class CodeCache(NamedTuple):
    """Keys and values of the codes, by step and by the beam that wrote them there.

    Entries are never reordered; `ancestry` maps each beam to the entries that it inherited. Each
    layer has its own arrays, because XLA updates those in place, but copies slices of a stacked
    one. On a CPU the arrays are split into blocks (pieces) of consecutive steps, so that a step
    does not read empty ones. Keys are stored as (head width, time), the fastest layout for a
    product with few queries.
    """

    keys: tuple[tuple[Float[Array, "b h k s r"], ...], ...]  # by layer, then by block
    values: tuple[tuple[Float[Array, "b h s r k"], ...], ...]

    @property
    def pieces(self) -> list[range]:
        """The range of steps of each block."""
        ends = list(itertools.accumulate(piece.shape[2] for piece in self.values[0]))
        return [range(*pair) for pair in itertools.pairwise([0, *ends])]

    @property
    def size(self) -> int:
        """Capacity in codes."""
        return self.pieces[-1].stop

    def entries(self, layer: int) -> list[tuple[Float[Array, "b h k j"], Float[Array, "b h j k"]]]:
        """Keys and values of each block of a layer, with steps and beams merged to one axis."""
        batch, heads, width = self.keys[layer][0].shape[:3]
        return [
            (keys.reshape(batch, heads, width, -1), values.reshape(batch, heads, -1, width))
            for keys, values in zip(self.keys[layer], self.values[layer], strict=True)
        ]

    def resized(self, sizes: Sequence[int]) -> "CodeCache":
        """The cache with blocks of these capacities."""

        def resized(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
            none = lax.slice_in_dim(arrays[0], 0, 0, axis=axis)  # keeps the sharding
            both = zip(sizes, (*arrays, *[none] * len(sizes)), strict=False)
            return tuple(_with_room(array, size, axis) for size, array in both)

        return CodeCache(
            tuple(resized(layer, 3) for layer in self.keys),
            tuple(resized(layer, 2) for layer in self.values),
        )


def _with_room(array: Array, size: int, axis: int) -> Array:
    """Pads the array with zeros, or truncates it, to `size`."""
    more = [(0, 0, 0)] * array.ndim
    more[axis] = (0, size - array.shape[axis], 0)  # negative padding truncates
    return lax.pad(array, jnp.zeros((), array.dtype), more)


def piece_sizes(size: int) -> list[int]:
    """Block sizes of a KV cache for `size` codes.

    A block is half as long as everything before it, rounded down to a power of two, but not shorter
    than `FIRST_PIECE`.
    """
    sizes: list[int] = []
    while (start := sum(sizes)) < size:
        power = (1 << (start // 2).bit_length()) >> 1
        sizes.append(min(max(FIRST_PIECE, power), size - start))
    return sizes or [0]


def written_at(
    index: Int[Array, ""] | Int[Array, " b"],
    pieces: tuple[Float[Array, "b h *_"], ...],
    entry: Float[Array, "b h *_"],
    *,
    axis: int,
) -> tuple[Float[Array, "b h *_"], ...]:
    """The blocks with the entries of step `index` written; `index` may differ between rows."""

    def write(piece: Array, entry: Array, index: Array, axis: int) -> Array:
        entry = jnp.expand_dims(entry, axis).astype(piece.dtype)
        if len(pieces) > 1:  # other blocks get back the entry that they have
            size = piece.shape[axis]
            here = (index >= 0) & (index < size)
            index = jnp.clip(index, 0, size - 1)
            old = lax.dynamic_slice_in_dim(piece, index, 1, axis)
            entry = jnp.where(here, entry, old)
        return lax.dynamic_update_slice_in_dim(piece, entry, index, axis)

    written, start = [], 0
    for piece in pieces:
        if index.ndim:
            put = jax.vmap(functools.partial(write, axis=axis - 1))
        else:
            put = functools.partial(write, axis=axis)
        written.append(put(piece, entry, index - start))
        start += piece.shape[axis]
    return tuple(written)


def transpose_keys(keys: Float[Array, "b h t k"]) -> Float[Array, "b h k t"]:
    """Keys in the layout of the KV cache."""
    return jnp.swapaxes(keys, 2, 3)
