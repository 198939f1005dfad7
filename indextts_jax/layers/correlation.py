"""Convolutions over time as plain functions, in the form that suits each device."""

import functools

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32


def correlate(
    x: Float[Array, "b t i"],
    kernel: Float[Array, "k j o"],
    *,
    padding: tuple[int, int],
    stride: int = 1,
    dilation: int = 1,
    spread: int = 1,
    groups: int = 1,
) -> Float32[Array, "b s o"]:
    """The cross-correlation, with sums in float32; `j` is `i` divided by `groups`.

    `padding` counts zero frames before and after; `spread` - 1 zeros stand between frames. On an
    NVIDIA GPU a result in half precision is rounded to it: asked for float32 results, XLA converts
    input and kernel to float32, and the convolution does not run on tensor cores.
    """
    run = functools.partial(
        lax.conv_general_dilated,
        window_strides=(stride,),
        padding=[padding],
        lhs_dilation=(spread,),
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=groups,
    )
    exact = functools.partial(run, preferred_element_type=jnp.float32)
    if kernel.dtype == jnp.float32:
        return exact(x, kernel)

    def rounded(x: Array, kernel: Array) -> Array:
        return run(x, kernel).astype(jnp.float32)

    found: Array = lax.platform_dependent(x, kernel, cuda=rounded, default=exact)
    return found
