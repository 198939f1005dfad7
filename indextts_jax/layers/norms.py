"""Normalisations, with two-pass float32 statistics whatever the input's dtype."""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float


class LayerNorm(nnx.Module):
    """LayerNorm over the last axis, with scale and bias unless `affine` is false."""

    def __init__(self, width: int, *, eps: float, affine: bool = True, rngs: nnx.Rngs):
        self.eps = eps
        self.scale = nnx.Param(jnp.ones(width)) if affine else None
        self.bias = nnx.Param(jnp.zeros(width)) if affine else None

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        wide = x.astype(jnp.float32)
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
        y = centred * lax.rsqrt(variance + self.eps)
        if self.scale is not None and self.bias is not None:
            y = y * self.scale[...].astype(jnp.float32) + self.bias[...].astype(jnp.float32)
        return y.astype(x.dtype)


class RMSNorm(nnx.Module):
    """RMS normalisation of the last axis, with a scale."""

    def __init__(self, width: int, *, eps: float, rngs: nnx.Rngs):
        self.eps = eps
        self.scale = nnx.Param(jnp.ones(width))

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        wide = x.astype(jnp.float32)
        y = wide * lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + self.eps)
        return (y * self.scale[...].astype(jnp.float32)).astype(x.dtype)
