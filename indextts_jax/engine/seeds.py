"""Random keys of segments and of further tries."""

import jax
from jaxtyping import Array, Key

from indextts_jax.errors import InputError


def next_seed(seed: int, attempt: int) -> int:
    """The seed of a further try."""
    return (seed + attempt) % 2**32 if attempt else seed


def check_seed(seed: int) -> None:
    """Makes sure that a seed has a key of its own.

    Raises:
        InputError: if it has not.
    """
    if not 0 <= seed < 2**32:  # JAX would take another one in silence
        raise InputError(f"the seed must be 0 to {2**32 - 1}, got {seed}")


def segment_keys(seed: int, index: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The random keys of one segment: of its codes, and of the flow's noise.

    Raises:
        InputError: for a seed that has no key of its own.
    """
    check_seed(seed)
    codes, noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), index))
    return codes, noise
