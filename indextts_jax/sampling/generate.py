"""From conditioning and text tokens to codes: the GPT in its loop, as one program."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from indextts_jax.errors import InputError
from indextts_jax.models.gpt import GPT, CodeCache
from indextts_jax.sampling.beam import beam_search
from indextts_jax.sampling.decode import Generated, Model, Rules, decode
from indextts_jax.sampling.settings import Numbers, SamplingConfig, Strategy

__all__ = ["Generated", "SamplingConfig", "generate"]


def generate(
    gpt: GPT,
    latents: Float[Array, "b l d"],
    emotion: Float[Array, "b d"],
    text: Int[Array, "b t"],
    text_lengths: Int[Array, " b"],
    source: Key[Array, " b"] | Float[Array, "b steps n"],
    numbers: Numbers,
    *,
    strategy: Strategy,
) -> Generated:
    """Codes for each row's text, spoken as `latents` and `emotion` say.

    `source` is one random key a row, or Exp(1) noise as recorded (a row for each step, over beams
    and codes); it is not looked at where nothing is drawn. A row's codes depend neither on its
    padding nor on its neighbours. Numbers and strategy are those of a `SamplingConfig`.

    Raises:
        InputError: if more codes are wished for than the position table holds.

    Source: `UnifiedVoice.inference_speech` of the PyTorch release.
    """
    if strategy.max_codes > gpt.cfg.max_codes:
        raise InputError(
            f"max_codes is {strategy.max_codes}, but this model has positions for "
            f"{gpt.cfg.max_codes} codes"
        )
    rows, lengths = gpt.prefix(latents, emotion, *gpt.without_special(text, text_lengths))
    logits, prefix = gpt.prefill(rows, lengths)

    def step(codes: Array, index: Array, lineage: Array, cache: CodeCache) -> tuple[Array, Any]:
        return gpt.step(codes, index, lineage, prefix, cache)

    def grow(cache: CodeCache, size: int) -> CodeCache:
        more = [(0, 0)] * 3 + [(0, size - cache.keys.shape[3])] + [(0, 0)] * 2
        return CodeCache(jnp.pad(cache.keys, more), jnp.pad(cache.values, more))

    loop = decode if strategy.beams == 1 else beam_search
    return loop(
        Model(step, grow),
        logits,
        gpt.empty_cache(rows.shape[0], strategy.beams, 0),
        source,
        numbers,
        strategy,
        Rules(gpt.cfg.start_code, gpt.cfg.stop_code),
    )
