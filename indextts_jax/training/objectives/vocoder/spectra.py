"""Differentiable spectra of signals on a device."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from indextts_jax.audio.features import mel_bank
from indextts_jax.config import MelConfig

SMALL = 256  # up to this window size a matrix product with sines is faster than an FFT


@functools.cache
def hann(size: int) -> Float32[np.ndarray, " w"]:
    """The periodic window of `torch.hann_window`."""
    return np.hanning(size + 1)[:-1].astype(np.float32)


@functools.cache
def _waves(size: int) -> Float32[np.ndarray, "w k"]:
    """DFT matrices: cosines, then negative sines, one column per frequency."""
    angles = 2 * np.pi / size * np.outer(np.arange(size), np.arange(size // 2 + 1))
    return np.concatenate([np.cos(angles), -np.sin(angles)], axis=1).astype(np.float32)


def frames(x: Float[Array, "b n"], size: int, hop: int) -> Float[Array, "b f w"]:
    """Overlapping frames of `size` samples, `hop` apart, without padding."""
    count = (x.shape[1] - size) // hop + 1
    if size % hop:
        starts = hop * np.arange(count)[:, None] + np.arange(size)
        return x[:, starts]
    # Built from slices of blocks: a gather would have a scatter as gradient, which is slow.
    blocks = size // hop
    x = x[:, : (count + blocks - 1) * hop].reshape(len(x), -1, hop)
    return jnp.concatenate([x[:, i : i + count] for i in range(blocks)], axis=-1)


def powers(x: Float[Array, "b f w"]) -> Float[Array, "b f k"]:
    """The power spectrum of each frame."""
    size = x.shape[-1]
    if size <= SMALL:
        both = jnp.matmul(x, _waves(size))
        real, imaginary = jnp.split(both, 2, axis=-1)
    else:
        spectrum = jnp.fft.rfft(x)
        real, imaginary = spectrum.real, spectrum.imag
    return real * real + imaginary * imaginary


def magnitudes(
    x: Float[Array, "b n"],
    size: int,
    hop: int,
    *,
    window: int | None = None,
    border: int,
    eps: float,
) -> Float[Array, "b f k"]:
    """The magnitudes of a short-time spectrum, with reflection padding by `border` samples.

    `eps` is added to the squares, as the root has no finite gradient at 0 (silence). A window
    shorter than the frames is centred in them.
    """
    x = jnp.pad(x, ((0, 0), (border, border)), mode="reflect")
    taps, spare = hann(window or size), size - (window or size)
    taps = np.pad(taps, (spare // 2, spare - spare // 2))
    return jnp.sqrt(powers(frames(x, size, hop) * taps) + eps)


def log_mel(x: Float[Array, "b n"], cfg: MelConfig) -> Float[Array, "b f m"]:
    """The vocoder's log-mel input; like `audio.features.log_mel`, but on a device."""
    magnitude = magnitudes(
        x,
        cfg.n_fft,
        cfg.hop,
        window=cfg.window,
        border=(cfg.n_fft - cfg.hop) // 2,
        eps=1e-9,
    )
    return jnp.log(jnp.maximum(1e-5, jnp.matmul(magnitude, mel_bank(cfg).astype(np.float32))))
