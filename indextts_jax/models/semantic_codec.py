"""Semantic features to codes and back to continuous features: encoder and factorised quantiser.

A code is the nearest of many rows, so everything before the choice runs in full float32 precision
where the weights are float32, even on a device that would rather round the factors of a product.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.config import SemanticCodecConfig
from indextts_jax.layers.conv import Conv1d, DepthwiseConv1d
from indextts_jax.layers.linear import Embedding, Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.norms import LayerNorm

NORM_EPS = 1e-6  # of every LayerNorm, hard-coded in the Vocos backbone
UNIT_EPS = 1e-12  # least norm that a vector is divided by, default of PyTorch's `normalize`


class ConvNeXt(nnx.Module):
    """Depthwise convolution and feed-forward layer, scaled by channel, around a residual stream.

    Source: `ConvNeXtBlock` of the PyTorch release.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        self.depthwise = DepthwiseConv1d(cfg.hidden, cfg.kernel, rngs=rngs)
        self.norm = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.fc_in = Linear(cfg.hidden, cfg.feed_forward, rngs=rngs)
        self.fc_out = Linear(cfg.feed_forward, cfg.hidden, rngs=rngs)
        self.gamma = nnx.Param(jnp.full(cfg.hidden, 1 / cfg.layers))

    def __call__(self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"]) -> Float[Array, "b t d"]:
        y = self.norm(self.depthwise(zero_padding(x, mask)))
        y = self.fc_out(jax.nn.gelu(self.fc_in(y), approximate=False))
        return x + (self.gamma[...] * y).astype(jnp.float32)


class Quantiser(nnx.Module):
    """Rows of a codebook, looked up by direction in a space of few dimensions.

    Source: `FactorizedVectorQuantize` of the PyTorch release.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        self.project_in = Linear(cfg.width, cfg.code_width, rngs=rngs)
        self.project_out = Linear(cfg.code_width, cfg.width, rngs=rngs)
        self.codebook = Embedding(cfg.codes, cfg.code_width, rngs=rngs)

    def lookup(self, x: Float[Array, "b t d"]) -> Int[Array, "b t"]:
        """The code of each frame; of equally near ones the lowest."""
        frames = unit(self.project_in(x).astype(jnp.float32))
        rows = unit(self.codebook.embedding[...].astype(jnp.float32))
        # Unit vectors, so the cosine would order them as well; near ties fall as in the reference.
        distance = (
            jnp.sum(frames**2, axis=-1, keepdims=True)
            - 2 * jnp.matmul(frames, rows.T)
            + jnp.sum(rows**2, axis=-1)
        )
        return jnp.argmin(distance, axis=-1).astype(jnp.int32)

    def embed(self, codes: Int[Array, "b s"]) -> Float[Array, "b s d"]:
        """The codebook's rows (as stored, not of unit length) at the width of the features."""
        return self.project_out(self.codebook(codes)).astype(jnp.float32)


def unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Vectors of length one; zeros stay zeros."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), UNIT_EPS)


class SemanticCodec(nnx.Module):
    """Codes of semantic features, one a frame, and the features that codes stand for.

    Source: `RepCodec` of the PyTorch release.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        self.embed = Conv1d(cfg.width, cfg.hidden, cfg.kernel, rngs=rngs)
        self.norm_in = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: ConvNeXt(cfg, rngs=r))(rngs.split(cfg.layers))
        self.norm_out = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.projection = Linear(cfg.hidden, cfg.width, rngs=rngs)
        self.quantiser = Quantiser(cfg, rngs=rngs)

    def encode(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b t d"]:
        """What the quantiser sees; frames past a row's length mean nothing."""
        mask = valid(lengths, semantic.shape[1])
        with jax.default_matmul_precision("highest"):
            x = self.embed(zero_padding(semantic, mask)).astype(jnp.float32)
            x = self.norm_in(x)
            x, _ = jax.lax.scan(lambda x, block: (block(x, mask), None), x, self.blocks)
            return self.projection(self.norm_out(x)).astype(jnp.float32)

    def quantize(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> tuple[Int[Array, "b t"], Float[Array, "b t d"]]:
        """Codes, and the features that they stand for; frames past a length mean nothing."""
        encoded = self.encode(semantic, lengths)
        with jax.default_matmul_precision("highest"):
            codes = self.quantiser.lookup(encoded)
        return codes, self.vq2emb(codes)

    def vq2emb(self, codes: Int[Array, "b s"]) -> Float[Array, "b s d"]:
        """The features that codes stand for; a start or stop code has none."""
        with jax.default_matmul_precision("highest"):
            return self.quantiser.embed(codes)
