"""The autoregressive model of version 2.5: a GPT with a language for every text.

Trunk, code tables, heads and loops are those of `gpt.CodeGPT`. There are no speed rows
(zeros in their place), and no second pass.
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.layers.linear import Embedding
from indextts_jax.models.gpt import CodeGPT


class LanguageGPT(CodeGPT):
    """A conditioning row, emotion vector, text tokens and their language to code logits.

    Source: `UnifiedVoice` of the PyTorch release, version 2.5.
    """

    def _declare_own(self, cfg: Any, rngs: nnx.Rngs) -> None:
        self.language_embedding = Embedding(cfg.languages, cfg.width, rngs=rngs)

    def prefix(  # type: ignore[override] # its text needs a language
        self,
        latents: Float[Array, "b l d"],
        emotion: Float[Array, "b d"],
        text: Int[Array, "b t"],
        text_lengths: Int[Array, " b"],
        languages: Int[Array, " b"],
    ) -> tuple[Float32[Array, "b p d"], Int[Array, " b"]]:
        """Conditioning, start, text, stop and padding; and the number of valid rows.

        The row of the language is added to all text rows, start and stop included, and to no other.

        Source: `UnifiedVoice.prepare_gpt_inputs` of the PyTorch release, version 2.5.
        """
        rows, lengths = super().prefix(latents, emotion, text, text_lengths)
        language = self.language_embedding(languages).astype(jnp.float32)[:, None]
        first = rows.shape[1] - text.shape[1] - 2
        return rows.at[:, first:].add(language), lengths
