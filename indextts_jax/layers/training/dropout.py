"""Dropout with one explicit key per row: a row's draws depend on its own key alone.

So they depend neither on the rest of the batch nor on how it is sharded over devices.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


def row_keys(key: Key[Array, ""], rows: Int[Array, " b"]) -> Key[Array, " b"]:
    """Derives a key for each row from its number."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, rows)


def fold(keys: Key[Array, " b"], number: int | Int[Array, ""]) -> Key[Array, " b"]:
    """Derives the keys of one use among several."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def dropout(x: Float[Array, " b *t"], keys: Key[Array, " b"], rate: float) -> Float[Array, " b *t"]:
    """Sets each number to zero with probability `rate`, and scales the others to keep the mean."""
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
    return jnp.where(kept, x / (1 - rate), jnp.zeros((), x.dtype)).astype(x.dtype)
