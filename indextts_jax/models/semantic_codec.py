"""Semantic features to codes and back to continuous features: encoder and factorised quantiser.

A code is the nearest of many codebook rows, so with float32 weights everything before the choice
runs in full float32 precision, even on devices that round factors by default (TF32).
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.config import SemanticCodecConfig
from indextts_jax.layers.conv import Conv1d, DepthwiseConv1d
from indextts_jax.layers.linear import Embedding, Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.stack import scan

NORM_EPS = 1e-6  # epsilon of every LayerNorm, hard-coded in the Vocos backbone
UNIT_EPS = 1e-12  # lower bound of a divisor norm, the default of PyTorch's `normalize`


class ConvNeXt(nnx.Module):
    """Depthwise convolution and feed-forward layer with a scale for each channel, and a residual.

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
    """A codebook, looked up by direction in a low-dimensional space.

    Source: `FactorizedVectorQuantize` of the PyTorch release.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        self.project_in = Linear(cfg.width, cfg.code_width, rngs=rngs)
        self.project_out = Linear(cfg.code_width, cfg.width, rngs=rngs)
        self.codebook = Embedding(cfg.codes, cfg.code_width, rngs=rngs)

    def lookup(self, x: Float[Array, "b t d"]) -> Int[Array, "b t"]:
        """The code of each frame; the lowest of equally near ones."""
        frames = unit(self.project_in(x).astype(jnp.float32))
        rows = unit(self.codebook.embedding[...].astype(jnp.float32))
        # For unit vectors the cosine gives the same order; squared distances as in the reference
        # decide near ties in the same way.
        distance = (
            jnp.sum(frames**2, axis=-1, keepdims=True)
            - 2 * jnp.matmul(frames, rows.T)
            + jnp.sum(rows**2, axis=-1)
        )
        return jnp.argmin(distance, axis=-1).astype(jnp.int32)

    def embed(self, codes: Int[Array, "b s"]) -> Float[Array, "b s d"]:
        """The codebook rows (as stored, not normalised) projected to the width of the features."""
        return self.project_out(self.codebook(codes)).astype(jnp.float32)

    def vectors(self, codes: Int[Array, "b s"]) -> Float[Array, "b s d"]:
        """`embed` in full float32 precision."""
        with jax.default_matmul_precision("highest"):
            return self.embed(codes)

    def quantize(
        self, encoded: Float[Array, "b s d"]
    ) -> tuple[Int[Array, "b s"], Float[Array, "b s d"]]:
        """Codes and their vectors, in full float32 precision."""
        with jax.default_matmul_precision("highest"):
            codes = self.lookup(encoded)
        return codes, self.vectors(codes)


def unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Vectors scaled to length one; zeros stay zeros."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), UNIT_EPS)


class Backbone(nnx.Module):
    """ConvNeXt blocks between two projections: features to features, at one rate.

    Source: `VocosBackbone` of the PyTorch release, and the linear map behind it.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        self.embed = Conv1d(cfg.width, cfg.hidden, cfg.kernel, rngs=rngs)
        self.norm_in = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: ConvNeXt(cfg, rngs=r))(rngs.split(cfg.layers))
        self.norm_out = LayerNorm(cfg.hidden, eps=NORM_EPS, rngs=rngs)
        self.projection = Linear(cfg.hidden, cfg.width, rngs=rngs)

    def encode(
        self,
        semantic: Float[Array, "b t d"],
        lengths: Int[Array, " b"],
        *,
        training: bool = False,
    ) -> Float[Array, "b t d"]:
        """The projected result; frames past a row's length are undefined.

        `training` compiles for gradients.
        """
        run = functools.partial(scan, remat=False) if training else jax.lax.scan
        mask = valid(lengths, semantic.shape[1])
        with jax.default_matmul_precision("highest"):
            x = self.embed(zero_padding(semantic, mask)).astype(jnp.float32)
            x = self.norm_in(x)
            x, _ = run(lambda x, block: (block(x, mask), None), x, self.blocks)
            return self.projection(self.norm_out(x)).astype(jnp.float32)


class SemanticCodec(Backbone):
    """Encodes semantic features to one code per frame, and codes back to features.

    `encode` gives the quantiser's input.

    Source: `RepCodec` of the PyTorch release.
    """

    def __init__(self, cfg: SemanticCodecConfig, *, rngs: nnx.Rngs):
        super().__init__(cfg, rngs=rngs)
        self.quantiser = Quantiser(cfg, rngs=rngs)

    def quantize(
        self, semantic: Float[Array, "b t d"], lengths: Int[Array, " b"]
    ) -> tuple[Int[Array, "b t"], Float[Array, "b t d"]]:
        """Codes and their features; frames past a row's length are undefined."""
        return self.quantiser.quantize(self.encode(semantic, lengths))

    def vq2emb(self, codes: Int[Array, "b s"]) -> Float[Array, "b s d"]:
        """The features of codes; undefined for start and stop codes."""
        return self.quantiser.vectors(codes)
