"""Speaker verification: embeddings whose cosine measures the similarity of voices."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from indextts_jax.audio.features import centred, filter_bank
from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges import eres2net

FLAG = "judge_speaker"
COUNTER = "num_batches_tracked"  # only for training; not read
SHORTEST = 1_600  # samples at 16 kHz: 0.1 s
LADDER = (400, 800, 1600, 3200)  # padded lengths in frames; longer recordings are truncated


class Speakers:
    """The speaker embedding network, from its published arrays by name.

    Raises:
        InputError: for arrays of another network.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        expected = eres2net.shapes()
        problems = [f"{name} missing" for name in expected if name not in arrays]
        problems += [
            f"{name} of {arrays[name].shape}, expected {shape}"
            for name, shape in expected.items()
            if name in arrays and arrays[name].shape != shape
        ]
        problems += [
            f"{name}, an unknown array"
            for name in arrays
            if name not in expected and not name.endswith(COUNTER)
        ]
        if problems:
            raise InputError(
                f"{FLAG}: expected the arrays of ERes2Net (base, 192-dimensional); found "
                f"{problems[0]}" + (f", and {len(problems) - 1} more" if problems[1:] else ""),
                FLAG,
            )
        self._arrays = {name: jnp.asarray(arrays[name], jnp.float32) for name in expected}
        self._embed = jax.jit(eres2net.embed)

    def __call__(self, signal: Float32[np.ndarray, " n"]) -> np.ndarray | None:
        """The unit-length embedding of a 16 kHz signal; None for less than 0.1 s, or silence."""
        if len(signal) < SHORTEST or not np.ptp(signal):
            return None
        banks = centred(filter_bank(signal))[: LADDER[-1]]
        size = next(size for size in LADDER if size >= len(banks))
        padded = np.pad(banks, ((0, size - len(banks)), (0, 0)))[None]
        return np.asarray(self._embed(self._arrays, padded, jnp.asarray([len(banks)])))[0]
