"""Rotary position embedding over halves: dimension i rotates with dimension i + width / 2."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

BASE = 10_000.0


def rotary_tables(positions: int, width: int, base: float = BASE) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines (positions, width / 2) of positions from 0, computed in float32."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = np.float32(1) / np.float32(base) ** exponents
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def rotate(
    x: Float[Array, "*b t h k"], tables: tuple[np.ndarray | jax.Array, np.ndarray | jax.Array]
) -> Float[Array, "*b t h k"]:
    """Rotates heads by their positions; computed in float32, returned in the dtype of `x`."""
    cos, sin = (jnp.asarray(table)[:, None] for table in tables)
    rotated: Array = lax.platform_dependent(x, cos, sin, cuda=_by_exchange, default=_by_halves)
    return rotated


def _by_halves(x: Array, cos: Array, sin: Array) -> Array:
    left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)
    return rotated.astype(x.dtype)


def _by_exchange(x: Array, cos: Array, sin: Array) -> Array:
    """Both parts are exchanged as they are read: a GPU would run a kernel for a concatenation."""
    halves = x.astype(jnp.float32).reshape(*x.shape[:-1], 2, -1)
    signed = jnp.stack([-sin, sin], axis=-2)
    rotated = halves * cos[..., None, :] + halves[..., ::-1, :] * signed
    return rotated.astype(x.dtype).reshape(x.shape)
