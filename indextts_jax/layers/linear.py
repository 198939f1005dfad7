"""Affine maps and lookup tables. The dtype of the parameters is the compute dtype."""

import jax
from flax import nnx
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
        y = product(x, kernel)
        if self.bias is not None:
            y = y + self.bias[...]
        return y.astype(kernel.dtype)


class Embedding(nnx.Module):
    """Rows looked up by id."""

    def __init__(self, rows: int, width: int, *, rngs: nnx.Rngs):
        self.embedding = nnx.Param(0.02 * jax.random.normal(rngs.params(), (rows, width)))

    def __call__(self, ids: Int[Array, "*b"]) -> Float[Array, "*b d"]:
        return self.embedding[...][ids]
