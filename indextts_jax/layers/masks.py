"""Masks of valid frames."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def valid(lengths: Int[Array, " b"], size: int) -> Bool[Array, "b t"]:
    """Mask (b, size) that is true at the first `length` positions of each row."""
    return jnp.arange(size) < lengths[:, None]


def zero_padding(x: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b t c"]:
    """Sets positions outside the mask to zero, even NaN (a product with the mask would keep it)."""
    return jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))
