"""Heads that only training needs."""

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from indextts_jax.config import GPTConfig, LanguageGPTConfig, SemanticCodecConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding

SYMBOLS = " 'ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # CTC labels, numbered from 1; 0 is the blank
SPELLING_KERNEL = 5  # kernel in codes: a letter may span several codes


class TrainingHeads(nnx.Module):
    """The GPT's text head.

    Source: `UnifiedVoice.text_head` of the PyTorch release.
    """

    def __init__(self, cfg: GPTConfig | LanguageGPTConfig, *, rngs: nnx.Rngs):
        self.text_head = Linear(cfg.width, cfg.text_vocabulary, rngs=rngs)


class CTCHead(nnx.Module):
    """A CTC head over codes: predicts letters, and aligns codes with the text."""

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        outputs = len(SYMBOLS) + 1
        self.codes_in = Conv1d(cfg.width, cfg.width, SPELLING_KERNEL, rngs=rngs)
        self.codes_out = Conv1d(cfg.width, outputs, SPELLING_KERNEL, rngs=rngs)

    def spell(
        self, embedded: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b t v"]:
        """Logits of the blank and the letters from embedded codes."""
        mask = valid(lengths, embedded.shape[1])
        x = jax.nn.gelu(self.codes_in(zero_padding(embedded, mask)))
        return self.codes_out(zero_padding(x, mask))
