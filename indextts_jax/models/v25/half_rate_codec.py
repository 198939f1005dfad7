"""The semantic codec of version 2.5: half as many codes as features, and a decoder.

Synthesis only decodes. As in `semantic_codec`, everything runs in full float32 precision.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from indextts_jax.config import HalfRateCodecConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.models.semantic_codec import Backbone, Quantiser


class HalfRateCodec(nnx.Module):
    """Encodes each pair of semantic features to a code, and decodes a code to two features.

    Source: `EnhancedCodec` of the PyTorch release.
    """

    def __init__(self, cfg: HalfRateCodecConfig, *, rngs: nnx.Rngs):
        self.ratio = cfg.features_per_code
        kernel = cfg.resampling_kernel
        self.down = Conv1d(cfg.width, cfg.width, kernel, stride=self.ratio, rngs=rngs)
        self.encoder = Backbone(cfg, rngs=rngs)
        self.quantiser = Quantiser(cfg, rngs=rngs)
        self.decoder = Backbone(cfg, rngs=rngs)
        self.up = Conv1d(cfg.width, cfg.width, kernel, rngs=rngs)

    def code_lengths(self, lengths: Int[Array, " b"]) -> Int[Array, " b"]:
        """Codes of rows with these numbers of features: a last odd one has a code of its own."""
        return -(-lengths // self.ratio)

    def downsample(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b s d"]:
        """The encoder's input at the rate of the codes; undefined past a row's codes."""
        with jax.default_matmul_precision("highest"):
            x = self.down(zero_padding(semantic, valid(lengths, semantic.shape[1])))
            return jax.nn.gelu(x.astype(jnp.float32), approximate=False)

    def encode(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b s d"]:
        """The quantiser's input; undefined past a row's codes."""
        down = self.downsample(semantic, lengths)
        return self.encoder.encode(down, self.code_lengths(lengths))

    def project(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b s c"]:
        """The encoded features in the low-dimensional space of the codebook, not normalised."""
        encoded = self.encode(semantic, lengths)
        with jax.default_matmul_precision("highest"):
            return self.quantiser.project_in(encoded).astype(jnp.float32)

    def quantize(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> tuple[Int[Array, "b s"], Float[Array, "b s d"]]:
        """Codes and their vectors; both are undefined past a row's codes."""
        return self.quantiser.quantize(self.encode(semantic, lengths))

    def vq2emb(self, codes: Int[Array, "b s"]) -> Float[Array, "b s d"]:
        """The vectors of codes; undefined for start and stop codes."""
        return self.quantiser.vectors(codes)

    def decode_at_code_rate(
        self, codes: Int[Array, "b s"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b s d"]:
        """The decoder's output, a row for each code; undefined past a row's codes."""
        return self.decoder.encode(self.vq2emb(codes), lengths)

    def decode(self, codes: Int[Array, "b s"], lengths: Int[Array, " b"]) -> Float[Array, "b t d"]:
        """Semantic features of `lengths` codes, zero past a row's features.

        Every row is repeated before the convolution: the other order is another function.
        """
        x = self.decode_at_code_rate(codes, lengths)
        x = jnp.repeat(x, self.ratio, axis=1)
        mask = valid(self.ratio * lengths, x.shape[1])
        with jax.default_matmul_precision("highest"):
            return zero_padding(self.up(zero_padding(x, mask)).astype(jnp.float32), mask)


def reach(cfg: HalfRateCodecConfig) -> int:
    """Codes to either side that a code's decoded features depend on: 40 in the published model."""
    features = cfg.resampling_kernel // 2  # of the convolution behind the repetition
    return (cfg.layers + 1) * (cfg.kernel // 2) + -(-features // cfg.features_per_code)
