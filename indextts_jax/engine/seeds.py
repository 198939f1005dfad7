"""Random keys of segments and of retries."""

import jax
from jaxtyping import Array, Key

from indextts_jax.errors import InputError


def next_seed(seed: int, attempt: int) -> int:
    """The seed of an attempt (0 is the first)."""
    return (seed + attempt) % 2**32 if attempt else seed


def check_seed(seed: int) -> None:
    """Checks the range of a seed.

    Raises:
        InputError: if it is not from 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:  # JAX would silently use another seed
        raise InputError(f"the seed must be 0 to {2**32 - 1}, got {seed}")


def segment_keys(seed: int, index: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The random keys of one segment: of its codes, and of the flow's noise.

    Raises:
        InputError: for a seed out of range.
    """
    check_seed(seed)
    codes, noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), index))
    return codes, noise
