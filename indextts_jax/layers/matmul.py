"""Matrix products with kernels stored in the layout that is fastest on each device."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from indextts_jax.layers.training.adapted import Adapted

LEVELS, SHIFT = 127, 128  # largest 8-bit level; factor between high and low byte of 15-bit inputs
LEAST, FEW = 3, 24  # rows: up to FEW, a sum is faster than a matrix product


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Streamed:
    """A transposed kernel: one row for each output, which a CPU reads contiguously.

    See benchmarks/LOG.md for what was measured.
    """

    rows: Any  # (o i), an array or an abstract one

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of the weights."""
        return self.rows.dtype


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Quantized:
    """An int8 kernel with one row and one scale for each output."""

    rows: Any  # (o i), int8
    scales: Any  # (o), float32
    dtype: jnp.dtype = dataclasses.field(metadata={"static": True})
    """Dtype of the results of products."""


def quantize_kernel(kernel: Float[Array, "i o"]) -> Quantized:
    """Quantizes a kernel to int8: each output's largest weight becomes 127 or -127."""
    rows = kernel.T.astype(jnp.float32)
    largest = jnp.max(jnp.abs(rows), axis=1)
    scales = jnp.where(largest > 0, largest, 1) / LEVELS
    return Quantized(jnp.round(rows / scales[:, None]).astype(jnp.int8), scales, kernel.dtype)


def stream_kernel(kernel: Float[Array, "i o"]) -> "Streamed | Array":
    """The kernel in the layout that is fastest on a CPU for few rows.

    Transposed, except float16, which XLA converts number by number in either layout.
    """
    return kernel if kernel.dtype == jnp.float16 else Streamed(kernel.T)


def product(
    x: Float[Array, "*b i"], kernel: Streamed | Quantized | Adapted | Array | np.ndarray
) -> Float32[Array, "*b o"]:
    """`x` times a kernel (i o) with float32 accumulation.

    With a streamed float32 kernel, a row's result depends on the other rows only through whether
    there are more than `FEW` of them: exactly with AVX-512, else up to rounding.
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
        if count == 1:  # XLA compiles a single row to a slow form with other rounding
            rows = jnp.concatenate([rows, rows])
        # Rolled by one row and back: otherwise XLA fuses the producer of `rows` into the sum, which
        # makes it slower.
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
    """Half precision: int8 weights are converted. Float32: exact sums of integers.

    For float32, `x` is rounded to 15 bits and split into two int8 rows (high and low part): on a
    CPU int8 streams several times as fast as float32, and this error is small compared to that of
    the weights.
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
