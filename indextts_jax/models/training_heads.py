"""What only training has of a published model: heads that speaking does not need."""

from flax import nnx

from indextts_jax.config import GPTConfig
from indextts_jax.layers.linear import Linear


class TrainingHeads(nnx.Module):
    """The GPT's head over text tokens.

    Source: `UnifiedVoice.text_head` of the PyTorch release.
    """

    def __init__(self, cfg: GPTConfig, *, rngs: nnx.Rngs):
        self.text_head = Linear(cfg.width, cfg.text_vocabulary, rngs=rngs)
