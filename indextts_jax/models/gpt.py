"""The autoregressive model: text tokens and conditioning to code logits, and to latents.

Generation runs `prefix`, `prefill` and then `step` for each code; `latents` is one full pass over
the finished codes. Rows are padded on the right, or packed, and attention is causal: so padding
comes after everything that counts and needs no mask.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.config import GPTConfig
from indextts_jax.layers.conv import valid, zero_padding
from indextts_jax.layers.linear import Embedding, Linear
from indextts_jax.layers.norms import LayerNorm

NORM_EPS = 1e-5

# The reference counts the position of a generated code from a mask that holds the start code and
# the code itself already: the start code has position 0, the first code 2. The pass over finished
# codes counts 0, 1, 2, ...
FIRST_STEP = 2


class PrefixCache(NamedTuple):
    """Keys and values of conditioning, text and start code, shared by the beams of a row."""

    keys: Float[Array, "layers b h p k"]
    values: Float[Array, "layers b h p k"]
    lengths: Int[Array, " b"]  # rows that count


class CodeCache(NamedTuple):
    """Keys and values of the codes, by step and by the beam that wrote them there.

    Nothing is ever moved: when beams change places, a table says whose entries are theirs.
    """

    keys: Float[Array, "layers b h s r k"]
    values: Float[Array, "layers b h s r k"]


class Part(NamedTuple):
    """Some of the keys that a query may attend to."""

    keys: Float[Array, "b h j k"]
    values: Float[Array, "b h j k"]
    mask: Bool[Array, "*b i j"]  # broadcast over heads, and over rows where it has no `b`


def attend(query: Float[Array, "b h i k"], parts: Sequence[Part]) -> Float32[Array, "b h i k"]:
    """Scaled dot-product attention over the keys of all parts together."""
    scores = [
        jnp.where(
            part.mask if part.mask.ndim == 2 else part.mask[:, None],
            jnp.einsum("bhik,bhjk->bhij", query, part.keys, preferred_element_type=jnp.float32)
            * query.shape[-1] ** -0.5,
            -jnp.inf,
        )
        for part in parts
    ]
    ends = [sum(part.keys.shape[2] for part in parts[: i + 1]) for i in range(len(parts) - 1)]
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
        hidden, cache = self._trunk(joined, cached=True)
        assert cache is not None
        last = jnp.take_along_axis(hidden, lengths[:, None, None], axis=1)[:, 0]
        return self._logits(self._norms(last)), PrefixCache(*cache, lengths + 1)

    def empty_cache(self, rows: int, beams: int, size: int) -> CodeCache:
        """A cache that holds `size` codes of each beam."""
        shape = (self.cfg.layers, rows, self.cfg.heads, size, beams, self._head_width)
        dtype = self.blocks.qkv.kernel[...].dtype
        return CodeCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

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
        beams, size = codes.shape[1], cache.keys.shape[3]
        x = _embed(self.code_embedding, codes, self.code_positions, index[..., None] + FIRST_STEP)
        own = lineage[:, :, :size, None] == jnp.arange(beams)  # b r s r
        written = jnp.arange(size) < index[..., None]
        earlier = (own & written[..., None, :, None]).reshape(*codes.shape, -1)  # b r j
        known = valid(prefix.lengths, prefix.keys.shape[3])[:, None]  # b 1 p
        itself = jnp.eye(beams, dtype=bool)

        def layer(
            x: Float32[Array, "b r d"], inputs: tuple[Block, Array, Array, Array, Array]
        ) -> tuple[Array, tuple[Array, Array]]:
            block, prefix_keys, prefix_values, keys, values = inputs
            query, key, value = block.project(x)
            shape = (*keys.shape[:2], -1, keys.shape[-1])  # steps and beams as one axis of keys
            parts = [
                Part(prefix_keys, prefix_values, known),
                Part(keys.reshape(shape), values.reshape(shape), earlier),
                Part(key, value, itself),
            ]
            return block.finish(x, attend(query, parts)), (key, value)

        inputs = (self.blocks, prefix.keys, prefix.values, cache.keys, cache.values)
        x, new = lax.scan(layer, x, inputs)
        # The layers only read the cache: one write for all of them keeps it in place.
        write = functools.partial(lax.dynamic_update_slice_in_dim, axis=3)
        if index.ndim:
            one = functools.partial(lax.dynamic_update_slice_in_dim, axis=2)
            write = jax.vmap(one, in_axes=(1, 1, 0), out_axes=1)
        keys, values = (
            write(old, entry[:, :, :, None], index) for old, entry in zip(cache, new, strict=True)
        )
        return self._logits(self._norms(x)), CodeCache(keys, values)

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
        hidden, _ = self._trunk(_join(rows, lengths, self._codes(shifted)), cached=False)
        position = lengths[:, None] + jnp.arange(codes.shape[1])
        hidden = jnp.take_along_axis(hidden, position[..., None], axis=1)
        return zero_padding(self._norms(hidden), valid(code_lengths, codes.shape[1]))

    @property
    def _head_width(self) -> int:
        return self.cfg.width // self.cfg.heads

    def _codes(self, codes: Int[Array, "b s"]) -> Float32[Array, "b s d"]:
        """Codes at the positions 0, 1, 2, ..."""
        position = jnp.arange(codes.shape[1])
        return _embed(self.code_embedding, codes, self.code_positions, position)

    def _norms(self, x: Float32[Array, "*b d"]) -> Float32[Array, "*b d"]:
        return self.final_norm(self.trunk_norm(x))

    def _logits(self, hidden: Float32[Array, "*b d"]) -> Float32[Array, "*b v"]:
        """Code logits, not rounded to the kernel's dtype: draws depend on their differences."""
        kernel = self.code_head.kernel[...]
        y = jnp.matmul(hidden.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32)
        assert self.code_head.bias is not None
        return y + self.code_head.bias[...].astype(jnp.float32)

    def _trunk(
        self, rows: Float32[Array, "b t d"], *, cached: bool
    ) -> tuple[Float32[Array, "b t d"], tuple[Array, Array] | None]:
        """The stream after the last block, before the norms; keys and values where wanted."""
        mask = jnp.tri(rows.shape[1], dtype=bool)

        def layer(
            x: Float32[Array, "b t d"], block: Block
        ) -> tuple[Array, tuple[Array, Array] | None]:
            query, key, value = block.project(x)
            x = block.finish(x, attend(query, [Part(key, value, mask)]))
            return x, (key, value) if cached else None

        return lax.scan(layer, rows, self.blocks)


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
