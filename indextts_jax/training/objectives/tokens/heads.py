"""Decoder and heads, used only to train semantic encoder and codec."""

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from indextts_jax.config import SemanticCodecConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.linear import Embedding, Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.stack import scan
from indextts_jax.models.semantic_codec import NORM_EPS, ConvNeXt
from indextts_jax.models.training.heads import SPELLING_KERNEL, SYMBOLS, CTCHead

PROSODY_BANDS = 20
SPEAKER_WIDTH = 32


class CodecDecoder(nnx.Module):
    """From embedded codes to semantic features, with the architecture of the codec's encoder.

    Source: the decoder of `RepCodec` of the PyTorch release.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        self.embed = Conv1d(cfg.width, cfg.hidden, cfg.kernel, rngs=rngs)
        self.norm_in = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: ConvNeXt(cfg, rngs=r))(rngs.split(cfg.layers))
        self.norm_out = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.projection = Linear(cfg.hidden, cfg.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b t d"]:
        mask = valid(lengths, x.shape[1])
        x = self.norm_in(self.embed(zero_padding(x, mask)))
        x, _ = scan(lambda x, block: (block(x, mask), None), x, self.blocks, remat=False)
        return self.projection(self.norm_out(x))


class Heads(CTCHead):
    """Heads for letters and prosody.

    Letters from features, letters from codes (kept after training: `CTCHead`), prosody from codes
    and a speaker.
    """

    def __init__(self, cfg: SemanticCodecConfig, speakers: int, *, rngs: nnx.Rngs):
        self.decoder = CodecDecoder(cfg, rngs=rngs)
        self.features = Linear(cfg.width, len(SYMBOLS) + 1, rngs=rngs)
        super().__init__(cfg, rngs=rngs)
        self.speakers = Embedding(speakers, SPEAKER_WIDTH, rngs=rngs)
        self.prosody_in = Conv1d(cfg.width + SPEAKER_WIDTH, cfg.width, SPELLING_KERNEL, rngs=rngs)
        self.prosody_out = Linear(cfg.width, PROSODY_BANDS + 1, rngs=rngs)

    def prosody(
        self,
        embedded: Float[Array, "b t d"],
        lengths: Int[Array, " b"],
        speakers: Int[Array, " b"],
    ) -> Float[Array, "b t m"]:
        """Mel bands and energy from embedded codes and a speaker."""
        shape = (*embedded.shape[:2], SPEAKER_WIDTH)
        voice = jax.numpy.broadcast_to(self.speakers(speakers)[:, None], shape)
        x = jax.numpy.concatenate([embedded, voice], axis=-1)
        x = jax.nn.gelu(self.prosody_in(zero_padding(x, valid(lengths, x.shape[1]))))
        return self.prosody_out(x)
