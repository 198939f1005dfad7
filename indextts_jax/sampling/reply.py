"""Greedy decoding of the text-to-emotion model's reply, as one program."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float32, Int

from indextts_jax.models.text_emotion import ReplyCache, TextEmotion

CHUNK = 256  # prompt tokens processed at once


class Reply(NamedTuple):
    """A finished reply."""

    tokens: Int[Array, " r"]
    length: Int[Array, ""]  # tokens before the stop token
    ended: Bool[Array, ""]  # whether a stop token came before the buffer was full


class _State(NamedTuple):
    step: Int[Array, ""]  # tokens written so far
    tokens: Int[Array, " r"]
    logits: Float32[Array, " v"]  # for the next token
    ended: Bool[Array, ""]
    cache: ReplyCache


def prefill(
    model: TextEmotion, prompt: Int[Array, " t"], length: Int[Array, ""], size: int
) -> tuple[Float32[Array, " v"], ReplyCache]:
    """Logits of the token after the prompt's first `length`, and a KV cache for `size` tokens.

    The prompt is processed in chunks, so that memory grows linearly with its length; chunks of only
    padding are skipped.
    """
    chunk = min(CHUNK, len(prompt))
    whole = -(-len(prompt) // chunk) * chunk
    prompt = jnp.pad(prompt, (0, whole - len(prompt)))

    def going(state: tuple[Array, Array, ReplyCache]) -> Array:
        return state[0] < length

    def advance(state: tuple[Array, Array, ReplyCache]) -> tuple[Array, Array, ReplyCache]:
        start, _, cache = state
        piece = lax.dynamic_slice_in_dim(prompt, start, chunk)
        hidden, cache = model.extend(piece, start, cache)
        last = jnp.clip(length - 1 - start, 0, chunk - 1)  # only the last chunk's is used
        return start + chunk, hidden[last], cache

    width = model.cfg.width
    state = (jnp.zeros((), jnp.int32), jnp.zeros(width), model.empty_cache(max(size, whole)))
    _, hidden, cache = lax.while_loop(going, advance, state)
    return model.logits(hidden), cache


def reply(model: TextEmotion, prompt: Int[Array, " t"], length: Int[Array, ""]) -> Reply:
    """Greedily decodes from the first `length` tokens of the prompt to a stop token.

    Source: `QwenEmotion.inference` of the PyTorch release.
    """
    limit = model.cfg.reply_tokens
    stops = jnp.asarray(model.cfg.stops)

    def going(state: _State) -> Bool[Array, ""]:
        return (state.step < limit) & ~state.ended

    def advance(state: _State) -> _State:
        token = jnp.argmax(state.logits).astype(jnp.int32)
        ended = jnp.any(token == stops)
        tokens = state.tokens.at[state.step].set(token)
        hidden, cache = model.extend(token[None], length + state.step, state.cache)
        step = jnp.where(ended, state.step, state.step + 1)
        return _State(step, tokens, model.logits(hidden[0]), ended, cache)

    first, cache = prefill(model, prompt, length, len(prompt) + limit)
    state = _State(
        jnp.zeros((), jnp.int32),
        jnp.zeros(limit, jnp.int32),
        first,
        jnp.zeros((), bool),
        cache,
    )
    state = lax.while_loop(going, advance, state)
    return Reply(state.tokens, state.step, state.ended)
