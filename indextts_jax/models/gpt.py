"""The autoregressive model: from text tokens and conditioning to code logits and latents.

Generation runs `prefix`, `prefill` and then `step` for each code; `latents` is one full pass over
the finished codes. Rows are padded on the right, or packed, and attention is causal, so padding
comes after all valid positions and needs no mask.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.config import GPTConfig, LanguageGPTConfig
from indextts_jax.layers.feed_forward import FeedForward
from indextts_jax.layers.linear import Embedding, Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.matmul import Streamed, product
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.split_attention import KeyBlock, attend
from indextts_jax.layers.stack import layer_at
from indextts_jax.models.gpt_attention import by_piece
from indextts_jax.models.gpt_cache import (
    CodeCache,
    PrefixCache,
    piece_sizes,
    transpose_keys,
    written_at,
)
from indextts_jax.models.gpt_joint_cache import JointCache, at_once, in_one_kernel

NORM_EPS = 1e-5

# Quirk of the reference: in generation it computes a code's position from the length of a mask that
# already includes the start code and the code itself. So the start code has position 0, but the
# first code 2. The pass over finished codes uses 0, 1, 2, ...
FIRST_STEP = 2


Sizes = GPTConfig | LanguageGPTConfig
Heads = tuple[tuple[int, int], ...]  # layer and head of each
Cache = CodeCache | JointCache


def gelu(x: Array) -> Array:
    """The tanh approximation of GELU, as in GPT-2."""
    return jax.nn.gelu(x, approximate=True)


class Attention(nnx.Module):
    """The input and output projections of a block's attention."""

    def __init__(self, cfg: Sizes, *, rngs: nnx.Rngs):
        self.heads = cfg.heads
        self.qkv = Linear(cfg.width, 3 * cfg.width, rngs=rngs)
        self.out = Linear(cfg.width, cfg.width, rngs=rngs)

    def tokens(self, x: Float[Array, "b t d"]) -> Float[Array, "b t 3 h k"]:
        """Query, key and value of every position, in one array."""
        return self.qkv(x).reshape(*x.shape[:2], 3, self.heads, -1)

    def project(self, x: Float[Array, "b t d"]) -> tuple[Float[Array, "b h t k"], ...]:
        """Query, key and value of every position."""
        return tuple(jnp.moveaxis(self.tokens(x), (2, 3), (0, 2)))

    def merge(self, mixed: Float[Array, "b t h k"]) -> Float[Array, "b t d"]:
        """Concatenates the heads' outputs and projects them."""
        return self.out(mixed.reshape(*mixed.shape[:2], -1))


class Block(nnx.Module):
    """A pre-norm GPT-2 block; its residual stream stays float32.

    Keys and values come from a KV cache, so the caller runs attention between `project` and
    `finish`.
    """

    def __init__(self, cfg: Sizes, *, rngs: nnx.Rngs):
        self.norm_attention = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.attention = Attention(cfg, rngs=rngs)
        self.norm_feed_forward = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.feed_forward = FeedForward(cfg.width, cfg.feed_forward, gelu, rngs=rngs)

    def project(self, x: Float32[Array, "b t d"]) -> tuple[Float[Array, "b h t k"], ...]:
        """Query, key and value of every position."""
        return self.attention.project(self.norm_attention(x))

    def finish(
        self, x: Float32[Array, "b t d"], mixed: Float[Array, "b h t k"]
    ) -> Float32[Array, "b t d"]:
        """The residual stream after adding the attention's result and the feed-forward layer."""
        return self.finish_merged(x, jnp.moveaxis(mixed, 1, 2))

    def finish_merged(
        self, x: Float32[Array, "b t d"], mixed: Float[Array, "b t h k"]
    ) -> Float32[Array, "b t d"]:
        """`finish`, with the heads side by side."""
        x = x + self.attention.merge(mixed).astype(jnp.float32)
        return x + self.feed_forward(self.norm_feed_forward(x)).astype(jnp.float32)


class CodeGPT(nnx.Module):
    """Conditioning, emotion vector and text tokens to code logits: what all versions share.

    Source: `UnifiedVoice` and `GPT2InferenceModel` of the PyTorch release.
    """

    def __init__(self, cfg: Sizes, *, fused_attention: bool = False, rngs: nnx.Rngs):
        self.cfg = cfg
        self.fused_attention = fused_attention  # decoding steps use one attention kernel
        self.text_embedding = Embedding(cfg.text_vocabulary, cfg.width, rngs=rngs)
        self.text_positions = Embedding(cfg.text_positions, cfg.width, rngs=rngs)
        self.code_embedding = Embedding(cfg.code_vocabulary, cfg.width, rngs=rngs)
        self.code_positions = Embedding(cfg.code_positions, cfg.width, rngs=rngs)
        self._declare_own(cfg, rngs)
        self.blocks = nnx.vmap(lambda r: Block(cfg, rngs=r))(rngs.split(cfg.layers))
        self.trunk_norm = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.final_norm = LayerNorm(cfg.width, eps=NORM_EPS, rngs=rngs)
        self.code_head = Linear(cfg.width, cfg.code_vocabulary, rngs=rngs)

    def _declare_own(self, cfg: Any, rngs: nnx.Rngs) -> None:
        """Declares the parameters that only one version has."""

    def _last_rows(self) -> Float32[Array, "2 d"]:
        """The last two conditioning rows, which are attended to."""
        return jnp.zeros((2, self.cfg.width), jnp.float32)

    def conditioning(
        self, latents: Float[Array, "b l d"], emotion: Float[Array, "b d"]
    ) -> Float32[Array, "b l+2 d"]:
        """The conditioning rows: latents plus emotion vector, then the two last rows.

        Source: `UnifiedVoice.inference_speech` of the PyTorch release.
        """
        rows = latents.astype(jnp.float32) + emotion.astype(jnp.float32)[:, None]
        last = self._last_rows()
        last = jnp.broadcast_to(last, (rows.shape[0], *last.shape))
        return jnp.concatenate([rows, last], axis=1)

    def without_special(
        self, text: Int[Array, "b t"], lengths: Int[Array, " b"]
    ) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
        """Removes start and stop tokens from the text; returns the packed tokens and their counts.

        Quirk of the reference: generation removes these ids anywhere in the text; the pass over
        finished codes does not.

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
        """Conditioning, start, text, stop and padding; and the number of valid rows.

        Source: `UnifiedVoice.prepare_gpt_inputs` of the PyTorch release.
        """
        conditioning = self.conditioning(latents, emotion)
        rows = self._text_rows(text, text_lengths)
        rows = jnp.concatenate([conditioning, rows], axis=1)
        return rows, conditioning.shape[1] + text_lengths + 2

    def _text_rows(
        self, text: Int[Array, "b t"], text_lengths: Int[Array, " b"]
    ) -> Float32[Array, "b t+2 d"]:
        """Start, text, stop and padding."""
        position = jnp.arange(text.shape[1] + 2)
        framed = jnp.pad(text, ((0, 0), (1, 1)))
        framed = jnp.where(position == 0, self.cfg.start_text, framed)
        framed = jnp.where(position == text_lengths[:, None] + 1, self.cfg.stop_text, framed)
        return embed(self.text_embedding, framed, self.text_positions, position)

    def prefill(
        self, rows: Float[Array, "b p d"], lengths: Int[Array, " b"]
    ) -> tuple[Float32[Array, "b v"], PrefixCache]:
        """Logits of the first code, and the KV cache of the prefix and the start code."""
        start = jnp.full((rows.shape[0], 1), self.cfg.start_code)
        joined = join_rows(rows, lengths, self._codes(start))
        hidden, keys, values = self._trunk(joined)
        last = jnp.take_along_axis(hidden, lengths[:, None, None], axis=1)[:, 0]
        return head_logits(self.code_head, self.norms(last)), PrefixCache(keys, values, lengths + 1)

    def begin_cache(self, prefix: PrefixCache, beams: int, size: int) -> tuple[PrefixCache, Cache]:
        """A KV cache behind a prefix, with capacity for `size` codes of each beam.

        And what `step` needs of the prefix beside it: on GPUs its lengths, as its entries are in
        the cache.
        """
        if self.in_pieces:
            return prefix, self.empty_cache(len(prefix.lengths), beams, size)
        return prefix._replace(keys=(), values=()), JointCache.of(prefix, beams, size)

    def empty_cache(self, rows: int, beams: int, size: int) -> Cache:
        """A KV cache with capacity for `size` codes of each beam; float32 on a CPU.

        On CPU, XLA converts a whole half-precision array to float32 and back to update one entry.
        """
        heads, width = self.cfg.heads, self.cfg.width // self.cfg.heads
        dtype = jnp.dtype(jnp.float32) if self.in_pieces else self._dtype
        keys = self._zeros((rows, heads, width, 0, beams), dtype)
        values = self._zeros((rows, heads, 0, beams, width), dtype)
        cache = CodeCache(tuple((layer,) for layer in keys), tuple((layer,) for layer in values))
        return self.resized(cache, size)

    @property
    def in_pieces(self) -> bool:
        """Whether the KV cache of codes is split into blocks, so that a step skips empty ones.

        True for parameters in the CPU layout (`runtime.layout`). A GPU would probably wait for the
        host at every condition (not measured).
        """
        return isinstance(self.code_head.kernel.get_value(), Streamed)

    @property
    def reads_filled(self) -> bool:
        """Whether a step skips empty parts of the KV cache: whole blocks, or every empty entry."""
        return self.in_pieces or self.fused_attention

    def resized(self, cache: Cache, size: int) -> Cache:
        """The KV cache with capacity for `size` codes."""
        if isinstance(cache, JointCache):
            return cache.resized(size)
        return cache.resized(piece_sizes(size) if self.in_pieces else [size])

    def empty_prefix(self, rows: int, size: int) -> PrefixCache:
        """A prefix cache without valid rows."""
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
        ancestry: Int[Array, "b r s"],
        prefix: PrefixCache,
        cache: Cache,
    ) -> tuple[Float32[Array, "b r v"], Cache]:
        """Logits of the code after `codes`, which are at step `index` (from 0) of each beam.

        `index` is common to all rows (faster to write), or one for each row.

        `ancestry` gives, for each earlier step, the beam whose KV cache entry each beam has
        inherited. Steps from `index` on are ignored.

        Source: `GPT2InferenceModel.forward` of the PyTorch release.
        """
        x = embed(self.code_embedding, codes, self.code_positions, index[..., None] + FIRST_STEP)
        inherited = ancestry[:, :, : cache.size, None] == jnp.arange(codes.shape[1])  # b r s r
        if isinstance(cache, JointCache):
            x, cache = self._through_joint(x, index, inherited, prefix.lengths, cache)
            return head_logits(self.code_head, self.norms(x)), cache
        attention = by_piece(index, inherited, prefix, cache)
        keys, values = [], []
        for layer, block in enumerate(self._blocks()):
            query, key, value = block.project(x)
            mixed = attention(layer, query, key, value)
            x = block.finish(x, mixed)
            # Written after the attention has read the cache, so that XLA updates it in place, see
            # `_after`.
            key, value = transpose_keys(_after(mixed, key)), _after(mixed, value)
            keys.append(written_at(index, cache.keys[layer], key, axis=3))
            values.append(written_at(index, cache.values[layer], value, axis=2))
        return head_logits(self.code_head, self.norms(x)), CodeCache(tuple(keys), tuple(values))

    def _through_joint(
        self,
        x: Float32[Array, "b r d"],
        index: Int[Array, ""] | Int[Array, " b"],
        inherited: Bool[Array, "b r s r"],
        lengths: Int[Array, " b"],
        cache: JointCache,
    ) -> tuple[Float32[Array, "b r d"], JointCache]:
        """The blocks of a step, each of which writes its entries before it attends to them."""
        form = in_one_kernel if self.fused_attention else at_once
        attention, layers = form(index, inherited, lengths, cache), []
        batch, beams = x.shape[:2]
        # Products in half precision take rows by the eight: padded here once, not in every product.
        whole = batch * beams if self._dtype == jnp.float32 else -(-batch * beams // 8) * 8
        x = jnp.pad(x.reshape(1, batch * beams, -1), ((0, 0), (0, whole - batch * beams), (0, 0)))
        for layer, block in enumerate(self._blocks()):
            mixed, entries = attention(layer, block.attention.tokens(block.norm_attention(x))[0])
            mixed = jnp.pad(mixed, ((0, whole - batch * beams), (0, 0), (0, 0)))
            x = block.finish_merged(x, mixed[None])
            layers.append(entries)
        x = x[0, : batch * beams].reshape(batch, beams, -1)
        return x, dataclasses.replace(cache, layers=tuple(layers))

    @property
    def _dtype(self) -> jnp.dtype:
        """The compute dtype."""
        return self.code_embedding.embedding[...].dtype

    def _zeros(self, shape: tuple[int, ...], dtype: jnp.dtype) -> tuple[Array, ...]:
        """One array of zeros for each layer."""
        return tuple(jnp.zeros(shape, dtype) for _ in range(self.cfg.layers))

    def _blocks(self) -> Iterator[Block]:
        """Iterates over the blocks, stacked or unstacked."""
        for number in range(self.cfg.layers):
            yield layer_at(self.blocks, number)

    def _codes(self, codes: Int[Array, "b s"]) -> Float32[Array, "b s d"]:
        """Codes at the positions 0, 1, 2, ..."""
        position = jnp.arange(codes.shape[1])
        return embed(self.code_embedding, codes, self.code_positions, position)

    def _finished(
        self,
        rows: Float32[Array, "b p d"],
        lengths: Int[Array, " b"],
        codes: Int[Array, "b s"],
        heads: Heads = (),
    ) -> tuple[Float32[Array, "b s d"], list[Array], list[Array]]:
        """The residual stream that predicts each code, from one pass over finished codes.

        Also, by layer, the queries of `heads` at these positions (b k s w) and their keys of the
        prefix (b k p w), in ascending order of layer and head.
        """
        # The state that predicts a code is at the position of the code before it: the last code is
        # not an input.
        shifted = jnp.pad(codes[:, :-1], ((0, 0), (1, 0)), constant_values=self.cfg.start_code)
        position = lengths[:, None] + jnp.arange(codes.shape[1])
        queries: list[Array] = []
        keys: list[Array] = []

        def observe(layer: int, query: Array, key: Array) -> None:
            if chosen := sorted(head for where, head in heads if where == layer):
                here = position[:, None, :, None]
                queries.append(jnp.take_along_axis(query[:, np.array(chosen)], here, axis=2))
                keys.append(key[:, np.array(chosen), : rows.shape[1]])

        hidden, *_ = self._trunk(join_rows(rows, lengths, self._codes(shifted)), observe)
        hidden = jnp.take_along_axis(hidden, position[..., None], axis=1)
        return hidden, queries, keys

    def code_attention(
        self,
        latents: Float[Array, "b l d"],
        emotion: Float[Array, "b d"],
        text: Int[Array, "b t"],
        text_lengths: Int[Array, " b"],
        codes: Int[Array, "b s"],
        *languages: Int[Array, " b"],
        heads: Heads,
    ) -> Float32[Array, "b k s t"]:
        """Attention of each code to the text tokens, for each of `heads`; see `text_attention`.

        The heads are in ascending order. One pass over finished codes, which have the positions of
        training: 0, 1, 2, ...
        """
        rows, lengths = self.prefix(latents, emotion, text, text_lengths, *languages)
        _, queries, keys = self._finished(rows, lengths, codes, heads)
        return _attention(queries, keys, text, text_lengths)

    def norms(self, x: Float32[Array, "*b d"]) -> Float32[Array, "*b d"]:
        """The heads' input from the residual stream; the reference applies two norms in a row."""
        return self.final_norm(self.trunk_norm(x))

    def _trunk(
        self,
        rows: Float32[Array, "b t d"],
        observe: Callable[[int, Array, Array], None] = lambda layer, query, key: None,
    ) -> tuple[Float32[Array, "b t d"], tuple[Array, ...], tuple[Array, ...]]:
        """The residual stream before the final norms; keys and values by layer.

        `observe` is called with each layer's number, queries and keys (b h t k).
        """
        mask = jnp.tri(rows.shape[1], dtype=bool)
        x, keys, values = rows, [], []
        for layer, block in enumerate(self._blocks()):
            query, key, value = block.project(x)
            observe(layer, query, key)
            key = transpose_keys(key)
            x = block.finish(x, attend(query, [KeyBlock(key, value, mask)]))
            keys.append(key)
            values.append(value)
        return x, tuple(keys), tuple(values)


class GPT(CodeGPT):
    """The GPT of version 2.0: speed rows, and a second pass that gives the latents of codes.

    Source: `UnifiedVoice` of the PyTorch release.
    """

    def _declare_own(self, cfg: Any, rngs: nnx.Rngs) -> None:
        self.speed_embedding = Embedding(cfg.speed_rows, cfg.width, rngs=rngs)

    def _last_rows(self) -> Float32[Array, "2 d"]:
        """Speed rows 1 and 0."""
        return self.speed_embedding(jnp.array([1, 0])).astype(jnp.float32)

    def latents(
        self,
        latents: Float[Array, "b l d"],
        emotion: Float[Array, "b d"],
        text: Int[Array, "b t"],
        text_lengths: Int[Array, " b"],
        codes: Int[Array, "b s"],
        code_lengths: Int[Array, " b"],
    ) -> Float32[Array, "b s d"]:
        """The hidden states that predict the codes, zero past a row's codes.

        `latents` (the conditioning latents), `emotion` and `text` are as in generation.

        Source: `UnifiedVoice.forward` of the PyTorch release.
        """
        rows, lengths = self.prefix(latents, emotion, text, text_lengths)
        hidden, *_ = self._finished(rows, lengths, codes)
        return zero_padding(self.norms(hidden), valid(code_lengths, codes.shape[1]))

    def aligned_latents(
        self,
        latents: Float[Array, "b l d"],
        emotion: Float[Array, "b d"],
        text: Int[Array, "b t"],
        text_lengths: Int[Array, " b"],
        codes: Int[Array, "b s"],
        code_lengths: Int[Array, " b"],
        *,
        heads: Heads,
    ) -> tuple[Float32[Array, "b s d"], Float32[Array, "b k s t"]]:
        """`latents`, and from the same pass what `code_attention` gives."""
        rows, lengths = self.prefix(latents, emotion, text, text_lengths)
        hidden, queries, keys = self._finished(rows, lengths, codes, heads)
        hidden = zero_padding(self.norms(hidden), valid(code_lengths, codes.shape[1]))
        return hidden, _attention(queries, keys, text, text_lengths)


def text_attention(
    queries: Float[Array, "b k s w"],
    keys: Float[Array, "b k t w"],
    text_lengths: Int[Array, " b"],
) -> Float32[Array, "b k s t"]:
    """Attention of some heads' code rows among the text tokens alone: a softmax over these.

    A code's row does not depend on later codes, so rows may be made in increments and concatenated.
    """
    scores = jnp.einsum("bksw,bktw->bkst", queries, keys, preferred_element_type=jnp.float32)
    known = valid(text_lengths, keys.shape[2])[:, None, None]
    return jax.nn.softmax(jnp.where(known, scores * queries.shape[-1] ** -0.5, -jnp.inf), axis=-1)


def _attention(
    queries: list[Array], keys: list[Array], text: Array, text_lengths: Array
) -> Float32[Array, "b k s t"]:
    """`text_attention` with the keys of whole prefixes: conditioning, start, text, stop."""
    first = keys[0].shape[2] - text.shape[1] - 1
    asked = jnp.concatenate([key[:, :, first : first + text.shape[1]] for key in keys], axis=1)
    return text_attention(jnp.concatenate(queries, axis=1), asked, text_lengths)


def _after(first: Float32[Array, "b h r k"], then: Float[Array, "b h r k"]) -> Array:
    """Returns `then`, made to depend on `first` so that XLA writes the cache after reading it.

    Without the dependency XLA may schedule the write first, and then copies the whole KV cache at
    every step to keep the old values. `lax.optimization_barrier` does not help: XLA removes it
    before it inserts the copies.
    """
    return jnp.where(jnp.isnan(first), jnp.nan, then)


def head_logits(head: Linear, hidden: Float32[Array, "*b d"]) -> Float32[Array, "*b v"]:
    """Logits, not rounded to the kernel's dtype: sampling depends on small differences."""
    assert head.bias is not None
    bias = head.bias[...].astype(jnp.float32)
    y = product(hidden, head.kernel.get_value())
    return y[..., : len(bias)] + bias  # the kernel may be padded, see `runtime.layout`


def embed(
    tokens: Embedding,
    ids: Int[Array, "*b t"],
    positions: Embedding,
    index: Int[Array, "*i"],
) -> Float32[Array, "*b t d"]:
    """Token plus position embedding, added in float32."""
    return tokens(ids).astype(jnp.float32) + positions(index).astype(jnp.float32)


def join_rows(
    rows: Float[Array, "b p d"], lengths: Int[Array, " b"], more: Float[Array, "b s d"]
) -> Float32[Array, "b p+s d"]:
    """Packs the first `lengths` rows of each batch entry and then `more`; the rest is undefined."""
    position = jnp.arange(rows.shape[1] + more.shape[1])
    source = jnp.clip(position - lengths[:, None], 0, more.shape[1] - 1)
    behind = jnp.take_along_axis(more, source[..., None], axis=1)
    padded = jnp.pad(rows, ((0, 0), (0, more.shape[1]), (0, 0)))
    return jnp.where((position < lengths[:, None])[..., None], padded, behind).astype(jnp.float32)
