"""The distance of two signals in mel spectrograms at seven resolutions.

Source: the multi-scale mel loss of BigVGAN v2.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from indextts_jax.audio.features import mel_bank
from indextts_jax.config import MelConfig
from indextts_jax.training.objectives.vocoder.spectra import magnitudes

SCALES = tuple((32 << i, 5 << i) for i in range(7))  # samples of a window, bands
OVERLAP = 4  # windows that overlap at each sample
FLOOR = 1e-5  # floor of a band's magnitude
EPS = 1e-14  # under the root: far below the floor, so without effect on values


def scales(samples: int) -> tuple[tuple[int, int], ...]:
    """The scales whose window fits into a segment."""
    return tuple(scale for scale in SCALES if scale[0] <= samples)


def mel_distances(
    x: Float[Array, "b n"], y: Float[Array, "b n"], sample_rate: int
) -> Float[Array, " b"]:
    """For each row, the sum over scales of the mean absolute difference of log10 magnitudes."""
    total = jnp.zeros(len(x), jnp.float32)
    for size, mels in scales(x.shape[1]):
        difference = jnp.abs(
            _bands(x, size, mels, sample_rate) - _bands(y, size, mels, sample_rate)
        )
        total = total + jnp.mean(difference, axis=(1, 2))
    return total


def _bands(x: Float[Array, "b n"], size: int, mels: int, sample_rate: int) -> Array:
    hop = size // OVERLAP
    cfg = MelConfig(
        sample_rate=sample_rate, n_fft=size, window=size, hop=hop, mels=mels, fmin=0.0, fmax=None
    )
    magnitude = magnitudes(x, size, hop, border=size // 2, eps=EPS)
    bands = jnp.matmul(magnitude, mel_bank(cfg).astype(np.float32))
    return jnp.log10(jnp.maximum(bands, FLOOR))
