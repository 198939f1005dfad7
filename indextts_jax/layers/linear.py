"""Affine maps and lookup tables. The dtype of the parameters is the compute dtype."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from indextts_jax.layers.matmul import product
from indextts_jax.layers.parameters import uniform


class Linear(nnx.Module):
    """An affine map of the last axis.

    The product is computed in the kernel's dtype with float32 accumulation; the result has that
    dtype. The kernel may be `Streamed`, `Quantized` or `Adapted`.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, rngs: nnx.Rngs):
        self.kernel = uniform(rngs, (inputs, outputs), inputs)
        self.bias = uniform(rngs, (outputs,), inputs) if bias else None

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        kernel = self.kernel.get_value()
        bias = None if self.bias is None else self.bias[...]
        if isinstance(kernel, jax.Array) and kernel.dtype != jnp.float32:
            y: Array = lax.platform_dependent(x, kernel, bias, cuda=_rounded, default=_exact)
            return y
        return _exact(x, kernel, bias)


def _exact(x: Float[Array, "*b i"], kernel: Any, bias: Any) -> Float[Array, "*b o"]:
    y = product(x, kernel)
    if bias is not None:
        y = y + bias
    return y.astype(kernel.dtype)


def _rounded(x: Float[Array, "*b i"], kernel: Array, bias: Array | None) -> Float[Array, "*b o"]:
    """Rounded before the bias is added, so that cuBLAS adds it and no kernel only converts."""
    y = jnp.matmul(x.astype(kernel.dtype), kernel)
    return y if bias is None else y + bias


class Embedding(nnx.Module):
    """Rows looked up by id."""

    def __init__(self, rows: int, width: int, *, rngs: nnx.Rngs):
        self.embedding = nnx.Param(0.02 * jax.random.normal(rngs.params(), (rows, width)))

    def __call__(self, ids: Int[Array, "*b"]) -> Float[Array, "*b d"]:
        return self.embedding[...][ids]
