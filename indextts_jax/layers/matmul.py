"""Products with kernels in the forms that a device reads fastest."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from indextts_jax.layers.training.adapted import Adapted

LEVELS, SHIFT = 127, 128  # of 8-bit integers; between the two halves of 15-bit ones
LEAST, FEW = 3, 24  # rows: up to so many a sum streams faster than a product of matrices


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Streamed:
    """A kernel with a row for each output, which a CPU reads in one run.

    See benchmarks/LOG.md for what was measured.
    """

    rows: Any  # (o i), an array or what stands for one

    @property
    def dtype(self) -> jnp.dtype:
        """That of the weights."""
        return self.rows.dtype


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Quantized:
    """A kernel of 8-bit integers with a row, and a scale, for each output."""

    rows: Any  # (o i), int8
    scales: Any  # (o), float32
    dtype: jnp.dtype = dataclasses.field(metadata={"static": True})
    """What products with it are rounded to."""


def quantize_kernel(kernel: Float[Array, "i o"]) -> Quantized:
    """The kernel in 8 bits: each output's largest weight becomes 127 or -127."""
    rows = kernel.T.astype(jnp.float32)
    largest = jnp.max(jnp.abs(rows), axis=1)
    scales = jnp.where(largest > 0, largest, 1) / LEVELS
    return Quantized(jnp.round(rows / scales[:, None]).astype(jnp.int8), scales, kernel.dtype)


def stream_kernel(kernel: Float[Array, "i o"]) -> "Streamed | Array":
    """The kernel in the form that a CPU multiplies with few rows fastest.

    That is transposed, but float16 as it is.
    """
    return kernel if kernel.dtype == jnp.float16 else Streamed(kernel.T)


def product(
    x: Float[Array, "*b i"], kernel: Streamed | Quantized | Adapted | Array | np.ndarray
) -> Float32[Array, "*b o"]:
    """`x` times a kernel (i o) with float32 accumulation.

    With a streamed float32 kernel a row's result depends, to rounding, on nothing but whether there
    are more than `FEW` rows; with AVX-512 bit for bit.
    """
    if isinstance(kernel, Adapted):
        return product(x, kernel.base) + kernel.change(x)
    x = x.astype(kernel.dtype)
    if isinstance(kernel, Quantized):
        return _quantized_product(x, kernel)
    if not isinstance(kernel, Streamed):
        return jnp.matmul(x, kernel, preferred_element_type=jnp.float32)
    rows = x.reshape(-1, x.shape[-1])
    count = len(rows)
    if count <= FEW and kernel.dtype == jnp.float32:
        if count == 1:  # takes another way through XLA, slow and with other rounding
            rows = jnp.concatenate([rows, rows])
        # Turned around: with a neighbour fused in or more axes the sum is slower.
        y = jnp.sum(kernel.rows[None] * jnp.roll(rows, 1, axis=0)[:, None], axis=-1)
        y = jnp.roll(y, -1, axis=0)
    else:
        rows = jnp.pad(rows, ((0, max(0, LEAST - count)), (0, 0)))
        y = _by_rows(rows, kernel.rows, jnp.float32)
    return y[:count].reshape(*x.shape[:-1], -1)


def _by_rows(x: Array, rows: Array, dtype: Any) -> Array:
    """`x` (n i) times rows (o i), accumulated in a dtype."""
    return lax.dot_general(x, rows, (((1,), (1,)), ((), ())), preferred_element_type=dtype)


def _quantized_product(x: Float[Array, "*b i"], kernel: Quantized) -> Float32[Array, "*b o"]:
    """In halves the weights are widened; in float32 the sums are of integers, and exact.

    There `x` is rounded to 15 bits, of which two rows take eight and seven: integers stream several
    times as fast as float32 on a CPU, and this error is small beside that of the weights.
    """
    rows = x.reshape(-1, x.shape[-1])
    if kernel.dtype != jnp.float32:
        y = _by_rows(rows, kernel.rows.astype(kernel.dtype), jnp.float32)
    else:
        largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
        scale = jnp.where(largest > 0, largest, 1) / (LEVELS * SHIFT)
        whole = jnp.round(rows / scale)
        high = jnp.round(whole / SHIFT)
        both = jnp.concatenate([high, whole - SHIFT * high]).astype(jnp.int8)
        high, low = jnp.split(_by_rows(both, kernel.rows, jnp.int32).astype(jnp.float32), 2)
        y = (SHIFT * high + low) * scale
    return (y * kernel.scales).reshape(*x.shape[:-1], -1)
