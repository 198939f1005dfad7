"""From conditioning and text tokens to codes: prefill and decoding loop as one program."""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.errors import InputError
from indextts_jax.models.gpt import Cache, CodeGPT
from indextts_jax.models.gpt_cache import PrefixCache
from indextts_jax.sampling.beam import beam_search
from indextts_jax.sampling.decode import decode
from indextts_jax.sampling.loop import Generated, Task
from indextts_jax.sampling.settings import Numbers, SamplingConfig, Strategy

__all__ = ["Generated", "SamplingConfig", "generate", "replay"]


def prefilled(
    gpt: CodeGPT,
    latents: Float[Array, "b l d"],
    emotion: Float[Array, "b d"],
    text: Int[Array, "b t"],
    text_lengths: Int[Array, " b"],
    *own: Int[Array, " b"],
) -> tuple[Float32[Array, "b v"], PrefixCache]:
    """Logits of the first code, and the KV cache of the prefix.

    `own` is what only the GPT of this version takes: the languages of the rows (2.5).
    """
    kept = gpt.without_special(text, text_lengths)
    rows, lengths = gpt.prefix(latents, emotion, *kept, *own)
    return gpt.prefill(rows, lengths)


def generate(
    gpt: CodeGPT,
    latents: Float[Array, "b l d"],
    emotion: Float[Array, "b d"],
    text: Int[Array, "b t"],
    text_lengths: Int[Array, " b"],
    source: Key[Array, " b"] | Float[Array, "b steps n"],
    numbers: Numbers,
    *own: Int[Array, " b"],
    strategy: Strategy,
) -> Generated:
    """Codes for each row's text, conditioned on `latents` and `emotion`.

    `source` is one random key per row, or recorded Exp(1) noise (a row for each step, over beams
    and codes); unused without sampling. A row's codes depend neither on padding nor on other rows.
    `numbers` and `strategy` are those of a `SamplingConfig`; `own` as in `prefilled`.

    Raises:
        InputError: if `max_codes` exceeds the position table.

    Source: `UnifiedVoice.inference_speech` of the PyTorch release.
    """
    if strategy.max_codes > gpt.cfg.max_codes:
        raise InputError(
            f"max_codes is {strategy.max_codes}, but this model has positions for "
            f"{gpt.cfg.max_codes} codes"
        )
    logits, prefix = prefilled(gpt, latents, emotion, text, text_lengths, *own)
    prefix, cache = gpt.begin_cache(prefix, strategy.beams, 0)

    def step(codes: Array, index: Array, ancestry: Array, cache: Cache) -> tuple[Array, Any]:
        return gpt.step(codes, index, ancestry, prefix, cache)

    task = Task(
        step=step,
        grow=gpt.resized,
        source=source,
        numbers=numbers,
        strategy=strategy,
        start_code=gpt.cfg.start_code,
        stop_code=gpt.cfg.stop_code,
        reads_filled=gpt.reads_filled,
    )
    loop = decode if strategy.beams == 1 else beam_search
    return loop(task, logits, cache)


def replay(
    gpt: CodeGPT,
    latents: Float[Array, "b l d"],
    emotion: Float[Array, "b d"],
    text: Int[Array, "b t"],
    text_lengths: Int[Array, " b"],
    codes: Int[Array, "b s"],
    *own: Int[Array, " b"],
) -> Float32[Array, "b s v"]:
    """The logits of given codes, computed as in generation; `own` as in `prefilled`."""
    first, prefix = prefilled(gpt, latents, emotion, text, text_lengths, *own)
    prefix, empty = gpt.begin_cache(prefix, 1, codes.shape[1])
    ancestry = jnp.zeros((codes.shape[0], 1, codes.shape[1]), jnp.int32)

    def advance(carry: tuple[Array, Cache], index: Array) -> tuple[tuple, Array]:
        logits, cache = carry
        code = lax.dynamic_slice_in_dim(codes, index, 1, axis=1)
        following, cache = gpt.step(code, index, ancestry, prefix, cache)
        return (following[:, 0], cache), logits

    logits = lax.scan(advance, (first, empty), jnp.arange(codes.shape[1]))[1]
    return jnp.moveaxis(logits, 0, 1)
