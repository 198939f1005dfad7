"""Masks of valid frames."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def valid(lengths: Int[Array, " b"], size: int) -> Bool[Array, "b t"]:
    """True at the first `length` positions of each row of `size`."""
    return jnp.arange(size) < lengths[:, None]


def zero_padding(x: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b t c"]:
    """The rows with every position outside the mask set to zero (even NaN)."""
    return jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))
