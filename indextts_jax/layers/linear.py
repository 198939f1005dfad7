"""Affine maps and lookup tables. The dtype of the parameters is the compute dtype."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Float32, Int

TILE = 64  # outputs whose weights lie together in a tiled kernel
FEW = 32  # rows; for more of them the sums over tiles cost more than products of matrices


class Table(nnx.Variable):
    """A stored table or statistic that is no weight: kept in float32 whatever the other dtypes."""


def uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int) -> nnx.Param:
    """A parameter drawn uniformly within 1 / sqrt(fan_in)."""
    bound = fan_in**-0.5
    return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound))


def streamed(kernel: Float[Array, "i o"]) -> Array:
    """The kernel as a CPU reads it in one run for products with few rows; float16 as it is.

    In float32 it comes in tiles of a few outputs (tiles i w), the last one filled up with zeros; in
    bfloat16 with a row an output (1 o i): each is the fastest there, see benchmarks/LOG.md.
    """
    if kernel.dtype == jnp.bfloat16:
        return kernel.T[None]
    if kernel.dtype != jnp.float32:
        return kernel
    inputs, outputs = kernel.shape
    padded = jnp.pad(kernel, ((0, 0), (0, -outputs % TILE)))
    return jnp.moveaxis(padded.reshape(inputs, -1, TILE), 1, 0)


def product(
    x: Float[Array, "*b i"], kernel: Array | np.ndarray, outputs: int
) -> Float32[Array, "*b {outputs}"]:
    """`x` times a kernel (i o), or times a `streamed` one, with float32 accumulation."""
    multiply = functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
    x = x.astype(kernel.dtype)
    if kernel.ndim == 2:
        return multiply(x, kernel)
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) == 1:  # XLA's loops for one row are slow
        rows = jnp.concatenate([rows, jnp.zeros_like(rows)])
    if kernel.dtype == jnp.bfloat16:
        y = multiply(rows, kernel[0].T)
    else:
        if len(rows) > FEW:
            y = lax.map(functools.partial(multiply, rows), kernel)
        else:
            y = jnp.sum(kernel[:, None] * rows[None, :, :, None], axis=2)
        y = jnp.moveaxis(y, 0, 1).reshape(len(rows), -1)
    return y[: x.size // x.shape[-1], :outputs].reshape(*x.shape[:-1], outputs)


class Linear(nnx.Module):
    """An affine map of the last axis.

    The product runs in the dtype of the kernel, with float32 accumulation, and so does the result.
    The kernel may be a `streamed` one.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, rngs: nnx.Rngs):
        self.outputs = outputs
        self.kernel = uniform(rngs, (inputs, outputs), inputs)
        self.bias = uniform(rngs, (outputs,), inputs) if bias else None

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        kernel = self.kernel[...]
        y = product(x, kernel, self.outputs)
        if self.bias is not None:
            y = y + self.bias[...]
        return y.astype(kernel.dtype)


class Embedding(nnx.Module):
    """Rows looked up by id."""

    def __init__(self, rows: int, width: int, *, rngs: nnx.Rngs):
        self.embedding = nnx.Param(0.02 * jax.random.normal(rngs.params(), (rows, width)))

    def __call__(self, ids: Int[Array, "*b"]) -> Float[Array, "*b d"]:
        return self.embedding[...][ids]
