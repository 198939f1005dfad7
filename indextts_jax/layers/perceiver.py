"""A perceiver resampler: any number of frames to a fixed number of latents."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float

from indextts_jax.config import PerceiverConfig
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import zero_padding


class L2Norm(nnx.Module):
    """Vectors scaled to the length sqrt(d), then by one factor a channel; in float32.

    Source: `RMSNorm` of the PyTorch release (its epsilon bounds the vector's length).
    """

    def __init__(self, width: int):
        self.scale = nnx.Param(jnp.ones(width))

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        wide = x.astype(jnp.float32)
        norm = jnp.sqrt(jnp.sum(wide * wide, axis=-1, keepdims=True))
        y = wide / jnp.maximum(norm, 1e-12) * math.sqrt(x.shape[-1])
        return (y * self.scale[...].astype(jnp.float32)).astype(x.dtype)


class CrossAttention(nnx.Module):
    """Attention of the latents to themselves and to the context, in that order.

    Source: `Attention` of the perceiver of the PyTorch release.
    """

    def __init__(self, cfg: PerceiverConfig, *, rngs: nnx.Rngs):
        self.heads = cfg.heads
        inner = cfg.heads * cfg.head_width
        self.query = Linear(cfg.width, inner, bias=False, rngs=rngs)
        self.key_value = Linear(cfg.width, 2 * inner, bias=False, rngs=rngs)
        self.out = Linear(inner, cfg.width, bias=False, rngs=rngs)

    def __call__(
        self,
        latents: Float[Array, "b l d"],
        context: Float[Array, "b t d"],
        mask: Bool[Array, "b l+t"],
    ) -> Float[Array, "b l d"]:
        q = self.query(latents)
        rows = jnp.concatenate([latents, context.astype(latents.dtype)], axis=1)
        k, v = jnp.split(self.key_value(rows), 2, axis=-1)
        q, k, v = (y.reshape(*y.shape[:2], self.heads, -1) for y in (q, k, v))  # b . h k
        scores = jnp.einsum("blhk,bthk->bhlt", q, k, preferred_element_type=jnp.float32)
        scores = scores * q.shape[-1] ** -0.5
        # The latents are among the keys, so the softmax is never empty.
        scores = jnp.where(mask[:, None, None, :], scores, jnp.finfo(jnp.float32).min)
        weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
        y = jnp.einsum("bhlt,bthk->blhk", weights, v, preferred_element_type=jnp.float32)
        return self.out(y.reshape(*y.shape[:2], -1))


class GatedFeedForward(nnx.Module):
    """Feed-forward block gated by an exact GELU: the value comes first, the gate second.

    Source: `FeedForward` and `GEGLU` of the perceiver of the PyTorch release.
    """

    def __init__(self, cfg: PerceiverConfig, *, rngs: nnx.Rngs):
        self.fc_in = Linear(cfg.width, 2 * cfg.feed_forward, rngs=rngs)
        self.fc_out = Linear(cfg.feed_forward, cfg.width, rngs=rngs)

    def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b l d"]:
        value, gate = jnp.split(self.fc_in(x), 2, axis=-1)
        return self.fc_out(value * jax.nn.gelu(gate, approximate=False))


class PerceiverBlock(nnx.Module):
    """Cross-attention and feed-forward with residuals and no norms; the stream is float32.

    Source: one layer of `PerceiverResampler` of the PyTorch release.
    """

    def __init__(self, cfg: PerceiverConfig, *, rngs: nnx.Rngs):
        self.attention = CrossAttention(cfg, rngs=rngs)
        self.feed_forward = GatedFeedForward(cfg, rngs=rngs)

    def __call__(
        self,
        latents: Float[Array, "b l d"],
        context: Float[Array, "b t d"],
        mask: Bool[Array, "b l+t"],
    ) -> Float[Array, "b l d"]:
        latents = latents + self.attention(latents, context, mask).astype(jnp.float32)
        return latents + self.feed_forward(latents).astype(jnp.float32)


class Perceiver(nnx.Module):
    """Summarises the context's frames inside the mask as a fixed number of latents.

    Source: `PerceiverResampler` of the PyTorch release.
    """

    def __init__(self, cfg: PerceiverConfig, *, rngs: nnx.Rngs):
        self.latents = nnx.Param(0.02 * jax.random.normal(rngs.params(), (cfg.latents, cfg.width)))
        # Equal widths need no projection, and the published file then has none.
        fits = cfg.context == cfg.width
        self.context = None if fits else Linear(cfg.context, cfg.width, rngs=rngs)
        self.blocks = nnx.vmap(lambda r: PerceiverBlock(cfg, rngs=r))(rngs.split(cfg.layers))
        self.norm = L2Norm(cfg.width)

    def __call__(
        self, context: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b l d"]:
        context = zero_padding(context, mask)
        if self.context is not None:
            context = self.context(context)
        latents = self.latents[...].astype(jnp.float32)
        latents = jnp.broadcast_to(latents, (context.shape[0], *latents.shape))
        keys = jnp.concatenate([jnp.ones(latents.shape[:2], bool), mask], axis=1)

        def step(latents: Array, block: PerceiverBlock) -> tuple[Array, None]:
            return block(latents, context, keys), None

        latents, _ = lax.scan(step, latents, self.blocks)
        return self.norm(latents)
