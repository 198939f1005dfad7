"""Random keys of segments and of retries."""

import secrets

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


RANDOM_SEEDS = ("random", "-1")


def chosen_seed(word: str) -> int:
    """The seed that a word stands for: a number, or a new one for `random` and `-1`.

    Raises:
        InputError: for another word, or a number out of range.
    """
    if word in RANDOM_SEEDS:
        return secrets.randbelow(2**32)
    try:
        seed = int(word)
    except ValueError:
        raise InputError(
            f"the seed must be 0 to {2**32 - 1}, or random, got {word!r:.80}"
        ) from None
    check_seed(seed)
    return seed


def segment_keys(seed: int, index: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The random keys of one segment: of its codes, and of the flow's noise.

    Raises:
        InputError: for a seed out of range.
    """
    check_seed(seed)
    codes, noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), index))
    return codes, noise
