"""Convolutions over time as plain functions, in the form that suits each device."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class OutputMajor:
    """A kernel in the order that cuDNN reads: outputs, taps, inputs.

    Made once, when a model is loaded: XLA would transpose the stored order at every call.
    """

    rows: Any  # (o k j), an array or an abstract one

    @classmethod
    def of(cls, kernel: Float[Array, "k j o"]) -> "OutputMajor":
        """From the stored order."""
        return cls(jnp.transpose(kernel, (2, 0, 1)))

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of the weights."""
        return self.rows.dtype


def correlate(
    x: Float[Array, "b t i"],
    kernel: Float[Array, "k j o"] | OutputMajor,
    *,
    padding: tuple[int, int],
    stride: int = 1,
    dilation: int = 1,
    spread: int = 1,
    groups: int = 1,
) -> Float32[Array, "b s o"]:
    """The cross-correlation, with sums in float32; `j` is `i` divided by `groups`.

    `padding` counts zero frames before and after; `spread` - 1 zeros stand between frames. On an
    NVIDIA GPU a result in half precision is rounded to it: for float32 results XLA converts
    input and kernel to float32, and the convolution does not run on tensor cores.
    """
    order, weights = "WIO", kernel
    if isinstance(kernel, OutputMajor):
        order, weights = "OWI", kernel.rows
    run = functools.partial(
        lax.conv_general_dilated,
        window_strides=(stride,),
        padding=[padding],
        lhs_dilation=(spread,),
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", order, "NWC"),
        feature_group_count=groups,
    )
    exact = functools.partial(run, preferred_element_type=jnp.float32)
    if kernel.dtype == jnp.float32:
        return exact(x, weights)

    def rounded(x: Array, weights: Array) -> Array:
        return run(x, weights).astype(jnp.float32)

    found: Array = lax.platform_dependent(x, weights, cuda=rounded, default=exact)
    return found
