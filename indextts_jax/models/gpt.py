"""The autoregressive model: text tokens and conditioning to code logits, and to latents.

Generation runs `prefix`, `prefill` and then `step` for each code; `latents` is one full pass over
the finished codes. Rows are padded on the right, or packed, and attention is causal: so padding
comes after everything that counts and needs no mask.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.config import GPTConfig
from indextts_jax.layers.conv import valid, zero_padding
from indextts_jax.layers.linear import (
    Embedding,
    Linear,
    Quantized,
    Streamed,
    product,
    quantized,
    streamed,
)
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.stack import nth

NORM_EPS = 1e-5

# The reference counts the position of a generated code from a mask that holds the start code and
# the code itself already: the start code has position 0, the first code 2. The pass over finished
# codes counts 0, 1, 2, ...
FIRST_STEP = 2


class PrefixCache(NamedTuple):
    """Keys and values of conditioning, text and start code, shared by the beams of a row."""

    keys: tuple[Float[Array, "b h k p"], ...]  # of each layer
    values: tuple[Float[Array, "b h p k"], ...]
    lengths: Int[Array, " b"]  # rows that count


class CodeCache(NamedTuple):
    """Keys and values of the codes, by step and by the beam that wrote them there.

    Nothing is ever moved: when beams change places, a table says whose entries are theirs. Each
    layer's arrays lie apart, so that a step writes them in place. Keys lie as a product with few
    queries reads them fastest.
    """

    keys: tuple[Float[Array, "b h k s r"], ...]  # of each layer
    values: tuple[Float[Array, "b h s r k"], ...]

    @property
    def size(self) -> int:
        """The codes that there is room for."""
        return self.values[0].shape[2]

    def resized(self, size: int) -> "CodeCache":
        """The cache with room for another number of codes."""

        def with_room(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
            more = [(0, 0, 0)] * 5
            more[axis] = (0, size - self.size, 0)  # less cuts
            return tuple(lax.pad(array, jnp.zeros((), array.dtype), more) for array in arrays)

        return CodeCache(with_room(self.keys, 3), with_room(self.values, 2))


class Part(NamedTuple):
    """Some of the keys that a query may attend to."""

    keys: Float[Array, "b h k j"]
    values: Float[Array, "b h j k"]
    mask: Bool[Array, "*b i j"]  # broadcast over heads, and over rows where it has no `b`


def attend(query: Float[Array, "b h i k"], parts: Sequence[Part]) -> Float32[Array, "b h i k"]:
    """Scaled dot-product attention over the keys of all parts together."""
    scores = [
        jnp.where(
            part.mask if part.mask.ndim == 2 else part.mask[:, None],
            jnp.einsum("bhik,bhkj->bhij", query, part.keys, preferred_element_type=jnp.float32)
            * query.shape[-1] ** -0.5,
            -jnp.inf,
        )
        for part in parts
    ]
    ends = [sum(part.values.shape[2] for part in parts[: i + 1]) for i in range(len(parts) - 1)]
    weights = jnp.split(jax.nn.softmax(jnp.concatenate(scores, -1), axis=-1), ends, axis=-1)
    products = [
        jnp.einsum(
            "bhij,bhjk->bhik",
            weight.astype(part.values.dtype),
            part.values,
            preferred_element_type=jnp.float32,
        )
        for weight, part in zip(weights, parts, strict=True)
    ]
    return sum(products[1:], products[0])


class Block(nnx.Module):
    """A pre-norm GPT-2 block; its residual stream stays float32."""

    def __init__(self, cfg: GPTConfig, *, rngs: nnx.Rngs):
        self.heads = cfg.heads
        self.ln_attn = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.qkv = Linear(cfg.width, 3 * cfg.width, rngs=rngs)
        self.attn_out = Linear(cfg.width, cfg.width, rngs=rngs)
        self.ln_mlp = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.fc_in = Linear(cfg.width, cfg.feed_forward, rngs=rngs)
        self.fc_out = Linear(cfg.feed_forward, cfg.width, rngs=rngs)

    def project(self, x: Float32[Array, "b t d"]) -> tuple[Float[Array, "b h t k"], ...]:
        """Query, key and value of every position."""
        fused = self.qkv(self.ln_attn(x))
        split = fused.reshape(*x.shape[:2], 3, self.heads, -1)  # b t 3 h k
        return tuple(jnp.moveaxis(split, (2, 3), (0, 2)))

    def finish(
        self, x: Float32[Array, "b t d"], mixed: Float[Array, "b h t k"]
    ) -> Float32[Array, "b t d"]:
        """The stream after attention's result and the feed-forward part are added."""
        x = x + self.attn_out(jnp.moveaxis(mixed, 1, 2).reshape(x.shape)).astype(jnp.float32)
        hidden = jax.nn.gelu(self.fc_in(self.ln_mlp(x)), approximate=True)
        return x + self.fc_out(hidden).astype(jnp.float32)


class GPT(nnx.Module):
    """Conditioning latents, emotion vector and text tokens to code logits and latents.

    Source: `UnifiedVoice` and `GPT2InferenceModel` of the PyTorch release.
    """

    def __init__(self, cfg: GPTConfig, *, rngs: nnx.Rngs):
        self.cfg = cfg
        self.text_embedding = Embedding(cfg.text_vocabulary, cfg.width, rngs=rngs)
        self.text_positions = Embedding(cfg.text_positions, cfg.width, rngs=rngs)
        self.code_embedding = Embedding(cfg.code_vocabulary, cfg.width, rngs=rngs)
        self.code_positions = Embedding(cfg.code_positions, cfg.width, rngs=rngs)
        self.speed_embedding = Embedding(cfg.speed_rows, cfg.width, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: Block(cfg, rngs=r))(rngs.split(cfg.layers))
        self.trunk_norm = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.final_norm = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.code_head = Linear(cfg.width, cfg.code_vocabulary, rngs=rngs)

    def conditioning(
        self, latents: Float[Array, "b l d"], emotion: Float[Array, "b d"]
    ) -> Float32[Array, "b l+2 d"]:
        """The rows before the text: latents with the emotion added, then speed rows 1 and 0.

        Source: `UnifiedVoice.inference_speech` of the PyTorch release.
        """
        rows = latents.astype(jnp.float32) + emotion.astype(jnp.float32)[:, None]
        speed = self.speed_embedding(jnp.array([1, 0])).astype(jnp.float32)
        speed = jnp.broadcast_to(speed, (rows.shape[0], *speed.shape))
        return jnp.concatenate([rows, speed], axis=1)

    def without_special(
        self, text: Int[Array, "b t"], lengths: Int[Array, " b"]
    ) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
        """The text tokens that are neither start nor stop, moved together, and their numbers.

        Generation drops these ids wherever they stand; the pass over finished codes does not.

        Source: `UnifiedVoice.prepare_gpt_inputs` of the PyTorch release.
        """
        special = (text == self.cfg.start_text) | (text == self.cfg.stop_text)
        kept = valid(lengths, text.shape[1]) & ~special
        order = jnp.argsort(~kept, axis=1, stable=True)
        return jnp.take_along_axis(text, order, axis=1), kept.sum(axis=1, dtype=lengths.dtype)

    def prefix(
        self,
        latents: Float[Array, "b l d"],
        emotion: Float[Array, "b d"],
        text: Int[Array, "b t"],
        text_lengths: Int[Array, " b"],
    ) -> tuple[Float32[Array, "b p d"], Int[Array, " b"]]:
        """Conditioning, start, text and stop, then padding; and how many rows count.

        Source: `UnifiedVoice.prepare_gpt_inputs` of the PyTorch release.
        """
        conditioning = self.conditioning(latents, emotion)
        position = jnp.arange(text.shape[1] + 2)
        framed = jnp.pad(text, ((0, 0), (1, 1)))
        framed = jnp.where(position == 0, self.cfg.start_text, framed)
        framed = jnp.where(position == text_lengths[:, None] + 1, self.cfg.stop_text, framed)
        rows = _embed(self.text_embedding, framed, self.text_positions, position)
        rows = jnp.concatenate([conditioning, rows], axis=1)
        return rows, conditioning.shape[1] + text_lengths + 2

    def prefill(
        self, rows: Float[Array, "b p d"], lengths: Int[Array, " b"]
    ) -> tuple[Float32[Array, "b v"], PrefixCache]:
        """Logits of the first code, and the cache of the prefix with the start code after it."""
        start = jnp.full((rows.shape[0], 1), self.cfg.start_code)
        joined = _join(rows, lengths, self._codes(start))
        hidden, keys, values = self._trunk(joined)
        last = jnp.take_along_axis(hidden, lengths[:, None, None], axis=1)[:, 0]
        return self._logits(self._norms(last)), PrefixCache(keys, values, lengths + 1)

    def empty_cache(self, rows: int, beams: int, size: int) -> CodeCache:
        """A cache that holds `size` codes of each beam; on a CPU in float32.

        XLA for CPU widens all of an array in halves to write an entry, and narrows it again.
        """
        heads, width = self.cfg.heads, self.cfg.width // self.cfg.heads
        for_cpu = isinstance(self.code_head.kernel.get_value(), Streamed)
        dtype = jnp.dtype(jnp.float32) if for_cpu else self._dtype
        return CodeCache(
            self._zeros((rows, heads, width, size, beams), dtype),
            self._zeros((rows, heads, size, beams, width), dtype),
        )

    def empty_prefix(self, rows: int, size: int) -> PrefixCache:
        """A cache of prefixes of which no row counts."""
        heads, width = self.cfg.heads, self.cfg.width // self.cfg.heads
        return PrefixCache(
            self._zeros((rows, heads, width, size), self._dtype),
            self._zeros((rows, heads, size, width), self._dtype),
            jnp.zeros(rows, jnp.int32),
        )

    def step(
        self,
        codes: Int[Array, "b r"],
        index: Int[Array, ""] | Int[Array, " b"],
        lineage: Int[Array, "b r s"],
        prefix: PrefixCache,
        cache: CodeCache,
    ) -> tuple[Float32[Array, "b r v"], CodeCache]:
        """Logits of the code after `codes`, which are number `index` (from 0) of each beam.

        One `index` for all rows is written faster; with one a row, each is at its own step.

        `lineage` tells, for each earlier step, which beam's entry in the cache is a beam's own
        history; later steps are not looked at.

        Source: `GPT2InferenceModel.forward` of the PyTorch release.
        """
        beams, size = codes.shape[1], cache.size
        x = _embed(self.code_embedding, codes, self.code_positions, index[..., None] + FIRST_STEP)
        own = lineage[:, :, :size, None] == jnp.arange(beams)  # b r s r
        written = jnp.arange(size) < index[..., None]
        earlier = (own & written[..., None, :, None]).reshape(*codes.shape, -1)  # b r j
        known = valid(prefix.lengths, prefix.values[0].shape[2])[:, None]  # b 1 p
        itself = jnp.eye(beams, dtype=bool)

        keys, values = list(cache.keys), list(cache.values)
        for layer, block in enumerate(self._blocks()):
            query, key, value = block.project(x)
            batch, heads, _, width = key.shape
            written_keys = keys[layer].reshape(batch, heads, width, -1)  # steps and beams as one
            written_values = values[layer].reshape(batch, heads, -1, width)
            parts = [
                Part(prefix.keys[layer], prefix.values[layer], known),
                Part(written_keys, written_values, earlier),
                Part(_turned(key), value, itself),
            ]
            mixed = attend(query, parts)
            x = block.finish(x, mixed)
            keys[layer] = _written(keys[layer], _turned(_after(mixed, key)), index, axis=3)
            values[layer] = _written(values[layer], _after(mixed, value), index, axis=2)
        return self._logits(self._norms(x)), CodeCache(tuple(keys), tuple(values))

    def latents(
        self,
        latents: Float[Array, "b l d"],
        emotion: Float[Array, "b d"],
        text: Int[Array, "b t"],
        text_lengths: Int[Array, " b"],
        codes: Int[Array, "b s"],
        code_lengths: Int[Array, " b"],
    ) -> Float32[Array, "b s d"]:
        """The hidden state that predicts each code, zero past a row's codes.

        `latents` (the conditioning latents), `emotion` and `text` are those of the generation.

        Source: `UnifiedVoice.forward` of the PyTorch release.
        """
        rows, lengths = self.prefix(latents, emotion, text, text_lengths)
        # The state for a code stands where the code before it goes in: the last is not needed.
        shifted = jnp.pad(codes[:, :-1], ((0, 0), (1, 0)), constant_values=self.cfg.start_code)
        hidden, *_ = self._trunk(_join(rows, lengths, self._codes(shifted)))
        position = lengths[:, None] + jnp.arange(codes.shape[1])
        hidden = jnp.take_along_axis(hidden, position[..., None], axis=1)
        return zero_padding(self._norms(hidden), valid(code_lengths, codes.shape[1]))

    @property
    def _dtype(self) -> jnp.dtype:
        """What is computed in."""
        return self.code_embedding.embedding[...].dtype

    def _zeros(self, shape: tuple[int, ...], dtype: jnp.dtype) -> tuple[Array, ...]:
        """An array for each layer."""
        return tuple(jnp.zeros(shape, dtype) for _ in range(self.cfg.layers))

    def _blocks(self) -> Iterator[Block]:
        """The blocks in turn, whether their arrays are stacked or lie apart (see `laid_out`)."""
        for number in range(self.cfg.layers):
            yield nth(self.blocks, number)

    def _codes(self, codes: Int[Array, "b s"]) -> Float32[Array, "b s d"]:
        """Codes at the positions 0, 1, 2, ..."""
        position = jnp.arange(codes.shape[1])
        return _embed(self.code_embedding, codes, self.code_positions, position)

    def _norms(self, x: Float32[Array, "*b d"]) -> Float32[Array, "*b d"]:
        return self.final_norm(self.trunk_norm(x))

    def _logits(self, hidden: Float32[Array, "*b d"]) -> Float32[Array, "*b v"]:
        """Code logits, not rounded to the kernel's dtype: draws depend on their differences."""
        y = product(hidden, self.code_head.kernel.get_value())
        assert self.code_head.bias is not None
        return y + self.code_head.bias[...].astype(jnp.float32)

    def _trunk(
        self, rows: Float32[Array, "b t d"]
    ) -> tuple[Float32[Array, "b t d"], tuple[Array, ...], tuple[Array, ...]]:
        """The stream after the last block, before the norms; keys and values of each layer."""
        mask = jnp.tri(rows.shape[1], dtype=bool)
        x, keys, values = rows, [], []
        for block in self._blocks():
            query, key, value = block.project(x)
            key = _turned(key)
            x = block.finish(x, attend(query, [Part(key, value, mask)]))
            keys.append(key)
            values.append(value)
        return x, tuple(keys), tuple(values)


def _after(first: Float32[Array, "b h r k"], then: Float[Array, "b h r k"]) -> Array:
    """`then`, which is there only when `first` is.

    So the cache is written after it was read; else XLA would copy all of it at every step. (An
    optimization barrier is taken away before the copies are made.)
    """
    return jnp.where(jnp.isnan(first), jnp.nan, then)


def _turned(keys: Float[Array, "b h t k"]) -> Float[Array, "b h k t"]:
    return jnp.swapaxes(keys, 2, 3)


def _written(
    cache: Float[Array, "b h *_"],
    entry: Float[Array, "b h *_"],
    index: Int[Array, ""] | Int[Array, " b"],
    *,
    axis: int,
) -> Float[Array, "b h *_"]:
    """The cache with the entries of step `index`, which may be another one in each row."""

    def write(cache: Array, entry: Array, index: Array, axis: int) -> Array:
        entry = jnp.expand_dims(entry, axis).astype(cache.dtype)
        return lax.dynamic_update_slice_in_dim(cache, entry, index, axis)

    if index.ndim:
        return jax.vmap(functools.partial(write, axis=axis - 1))(cache, entry, index)
    return write(cache, entry, index, axis)


def laid_out(params: dict[Any, Any], platform: str, *, eight_bits: bool = False) -> dict[Any, Any]:
    """The parameters as decoding reads them fastest; those given are taken apart on the way.

    Each layer's arrays lie apart. On a CPU kernels are `streamed`. With `eight_bits` those of the
    layers are rounded to 8 bits; the head, which draws hang on, is not.
    """

    def placed(name: str, array: Array) -> Array | Streamed | Quantized:
        if name == "kernel" and eight_bits:
            return quantized(array)
        return streamed(array) if name == "kernel" and platform == "cpu" else array

    for part in params["blocks"].values():
        for name in tuple(part):
            stacked = part.pop(name)
            part[name] = tuple(placed(name, layer) for layer in stacked)
    head = params["code_head"]
    if platform == "cpu":
        head["kernel"] = streamed(head["kernel"])
    return params


def _embed(
    tokens: Embedding,
    ids: Int[Array, "*b t"],
    positions: Embedding,
    index: Int[Array, "*i"],
) -> Float32[Array, "*b t d"]:
    """Rows of both tables, added in float32."""
    return tokens(ids).astype(jnp.float32) + positions(index).astype(jnp.float32)


def _join(
    rows: Float[Array, "b p d"], lengths: Int[Array, " b"], more: Float[Array, "b s d"]
) -> Float32[Array, "b p+s d"]:
    """The first `lengths` rows of each, `more` right behind them, then anything."""
    position = jnp.arange(rows.shape[1] + more.shape[1])
    source = jnp.clip(position - lengths[:, None], 0, more.shape[1] - 1)
    behind = jnp.take_along_axis(more, source[..., None], axis=1)
    padded = jnp.pad(rows, ((0, 0), (0, more.shape[1]), (0, 0)))
    return jnp.where((position < lengths[:, None])[..., None], padded, behind).astype(jnp.float32)
