"""The GPT in training: full sequences without KV caches, with its blocks in one scan.

The values are those of `GPT.latents` and of generation; only dropout, noise and rematerialisation
are added, each off by default.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from indextts_jax.layers.linear import Linear
from indextts_jax.layers.stack import scan
from indextts_jax.layers.training.adapted import with_keys
from indextts_jax.layers.training.dropout import dropout, fold
from indextts_jax.models.gpt import Block, CodeGPT, embed, head_logits, join_rows

GUIDED_HEADS = 2  # heads of a layer whose attention may be guided
LEAST_MASS = 1e-6  # added to attention before its logarithm


def guided_layers(layers: int) -> range:
    """Layers whose attention may be guided: the second third, at least one."""
    start = layers // 3
    return range(start, max(2 * layers // 3, start + 1))


class Clips(NamedTuple):
    """A batch of the GPT's inputs; padding may hold any valid ids."""

    latents: Float[Array, "b l d"]  # conditioning latents
    emotion: Float[Array, "b d"]
    text: Int[Array, "b t"]
    text_lengths: Int[Array, " b"]
    codes: Int[Array, "b s"]
    code_lengths: Int[Array, " b"]
    languages: Int[Array, " b"] | None = None  # of the texts; None where the version has none

    @property
    def prompt(self) -> tuple[Array, ...]:
        """The arguments of the GPT's prefix."""
        more = () if self.languages is None else (self.languages,)
        return (self.latents, self.emotion, self.text, self.text_lengths, *more)


class Disturbance(NamedTuple):
    """Dropout and noise of a training step."""

    keys: Key[Array, " b"]  # one for each row
    dropout: float = 0.0  # dropout rate after each residual branch
    text_dropout: float = 0.0  # probability that a text token's embedding is zeroed
    late: Bool[Array, " b"] | None = None  # rows whose codes have the positions used in generation


class States(NamedTuple):
    """Hidden states for the output heads, and the attention of the guided heads."""

    text: Float32[Array, "b t+1 d"]  # at start, t_1, ...: they predict t_1, ..., stop
    codes: Float32[Array, "b s+1 d"]  # at start, c_1, ...: they predict c_1, ..., stop
    guided: Float32[Array, "g b e s"] | None  # attention mass on `near`: layer, row, head, code


def hidden_states(
    gpt: CodeGPT,
    clips: Clips,
    disturbance: Disturbance | None = None,
    *,
    near: Bool[Array, "b s t"] | None = None,
    remat: bool = False,
) -> States:
    """The states for all targets of both heads; undefined past a row's targets.

    `near` is the mask of text tokens that the guided heads (the first ones of `guided_layers`)
    should attend to when a code is predicted. With `remat` only the residual stream between blocks
    is kept, and the backward pass recomputes each block.

    Source: `UnifiedVoice.forward` of the PyTorch release.
    """
    rows, lengths = gpt.prefix(*clips.prompt)
    first = rows.shape[1] - clips.text.shape[1] - 2  # position of the text's start token
    if disturbance is not None and disturbance.text_dropout > 0:
        kept = _kept_tokens(disturbance, clips.text.shape[1])
        kept = jnp.pad(kept, ((0, 0), (first + 1, 1)), constant_values=True)
        rows = jnp.where(kept[..., None], rows, 0)
    late = None if disturbance is None else disturbance.late
    codes = _code_rows(gpt, clips.codes, late)
    query = lengths[:, None] + jnp.arange(clips.codes.shape[1])  # positions that predict a code
    focus = None if near is None else _Focus(query, near, first + 1)
    x, guided = _trunk(gpt, join_rows(rows, lengths, codes), disturbance, focus, remat)
    place = lengths[:, None] + jnp.arange(codes.shape[1])
    of_codes = jnp.take_along_axis(x, place[..., None], axis=1)
    of_text = x[:, first : first + clips.text.shape[1] + 1]
    return States(gpt.norms(of_text), gpt.norms(of_codes), guided)


def head_losses(
    head: Linear, states: Float32[Array, "b t d"], targets: Int[Array, "b t"]
) -> tuple[Float32[Array, "b t"], Bool[Array, "b t"]]:
    """Cross-entropy of each target, and whether the target has the largest logit."""
    logits = head_logits(head, states)
    own = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    loss = jax.nn.logsumexp(logits, axis=-1) - own
    return loss, jnp.argmax(logits, axis=-1) == targets


class _Focus(NamedTuple):
    """The positions of guided attention."""

    query: Int[Array, "b s"]  # positions that predict a code
    near: Bool[Array, "b s t"]
    first: int  # position of the first text token


def _kept_tokens(disturbance: Disturbance, size: int) -> Bool[Array, "b t"]:
    keys = fold(disturbance.keys, _TEXT)
    return jax.vmap(lambda k: jax.random.bernoulli(k, 1 - disturbance.text_dropout, (size,)))(keys)


def _code_rows(
    gpt: CodeGPT, codes: Int[Array, "b s"], late: Bool[Array, " b"] | None
) -> Float32[Array, "b s+1 d"]:
    """Start and codes at positions 0, 1, 2, ..., or 0, 2, 3, ... (`late` rows, as generated)."""
    inputs = jnp.pad(codes, ((0, 0), (1, 0)), constant_values=gpt.cfg.start_code)
    position = jnp.arange(inputs.shape[1])
    if late is not None:
        position = position + (late[:, None] & (position > 0))
    return embed(gpt.code_embedding, inputs, gpt.code_positions, position)


# Numbers folded into a row's key for each use; those of blocks start at `_BLOCKS`.
_TEXT, _BLOCKS = 0, 1


def _trunk(
    gpt: CodeGPT,
    rows: Float32[Array, "b t d"],
    disturbance: Disturbance | None,
    focus: _Focus | None,
    remat: bool,
) -> tuple[Float32[Array, "b t d"], Float32[Array, "g b e s"] | None]:
    """The residual stream after the last block, and the attention mass of the guided heads."""
    rate = 0.0 if disturbance is None else disturbance.dropout

    def run(x: Array, layers: range, focus: _Focus | None) -> tuple[Array, Array | None]:
        def step(x: Array, layer: tuple[Block, Array]) -> tuple[Array, Array | None]:
            block, number = layer
            keys = None if disturbance is None else fold(disturbance.keys, _BLOCKS + number)
            return _block(with_keys(block, keys), x, keys, rate, focus)

        blocks = gpt.blocks
        if len(layers) < gpt.cfg.layers:
            blocks = jax.tree.map(lambda leaf: leaf[layers.start : layers.stop], blocks)
        numbers = jnp.arange(layers.start, layers.stop)
        return scan(step, x, (blocks, numbers), remat=remat)

    every = range(gpt.cfg.layers)
    if focus is None:
        return run(rows, every, None)
    guided = guided_layers(gpt.cfg.layers)
    x, _ = run(rows, every[: guided.start], None)
    x, mass = run(x, guided, focus)
    x, _ = run(x, every[guided.stop :], None)
    return x, mass


def _block(
    block: Block,
    x: Float32[Array, "b t d"],
    keys: Key[Array, " b"] | None,
    rate: float,
    focus: _Focus | None,
) -> tuple[Float32[Array, "b t d"], Float32[Array, "b e s"] | None]:
    """`Block` with causal attention over the sequence, and dropout after its two branches."""
    query, key, value = block.project(x)
    weights = _causal_weights(query, key)
    mixed = jnp.einsum(
        "bhij,bhjk->bhik", weights.astype(value.dtype), value, preferred_element_type=jnp.float32
    )
    mass = None if focus is None else _mass(weights, focus)
    if keys is None or rate == 0:
        return block.finish(x, mixed), mass
    # Adapted kernels have already folded the block's keys with their own numbers.
    merged = block.attention.merge(jnp.moveaxis(mixed, 1, 2)).astype(jnp.float32)
    x = x + dropout(merged, fold(keys, _OUT), rate)
    y = block.feed_forward(block.norm_feed_forward(x)).astype(jnp.float32)
    return x + dropout(y, fold(keys, _OUT + 1), rate), mass


_OUT = 1000  # above the numbers that a block's adapted kernels fold in


def _causal_weights(
    query: Float[Array, "b h t k"], key: Float[Array, "b h t k"]
) -> Float32[Array, "b h t t"]:
    scores = jnp.einsum("bhik,bhjk->bhij", query, key, preferred_element_type=jnp.float32)
    scores = jnp.where(
        jnp.tri(scores.shape[-1], dtype=bool), scores * query.shape[-1] ** -0.5, -jnp.inf
    )
    return jax.nn.softmax(scores, axis=-1)


def _mass(weights: Float32[Array, "b h t t"], focus: _Focus) -> Float32[Array, "b e s"]:
    """The guided heads' attention from positions that predict a code to nearby text tokens."""
    heads = weights[:, :GUIDED_HEADS]
    at_codes = jnp.take_along_axis(heads, focus.query[:, None, :, None], axis=2)
    tokens = at_codes[..., focus.first : focus.first + focus.near.shape[2]]
    return jnp.sum(tokens * focus.near[:, None], axis=-1)
