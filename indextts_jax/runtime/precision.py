"""Compute dtypes and kernels: what a component is computed with."""

import jax

from indextts_jax.config import INT8, ModelConfig, RunConfig
from indextts_jax.errors import InputError
from indextts_jax.layers.kernels.attention import supported
from indextts_jax.models import dit, gpt
from indextts_jax.models.components import FUSED, Params, structure
from indextts_jax.runtime import devices


def cast(name: str, params: Params, config: ModelConfig, dtype: str) -> Params:
    """Parameters in a compute dtype; stored tables stay float32."""
    expected = structure(name, config, dtype).expected
    return jax.tree.map(lambda array, like: array.astype(like.dtype), params, expected)


def check_kernels(config: ModelConfig, device: jax.Device) -> None:
    """Makes sure that attention of decoding and flow can run in kernels on a device.

    Raises:
        InputError: for a device or a head width that there is no kernel for.
    """
    if (lack := devices.lacks_kernels(device)) is not None:
        raise InputError(f"fused attention needs {lack}")
    for name in FUSED:
        section = getattr(config, name)
        width = section.width // section.heads
        if not supported(width):
            raise InputError(
                f"fused attention takes heads of width 16, 32, 64, 128 or 256; {name} has {width}"
            )


def place_params(
    name: str,
    params: Params,
    config: ModelConfig,
    run: RunConfig,
    device: jax.Device | None = None,
) -> Params:
    """A component's parameters as they are computed with; `params` is emptied on the way.

    The device is the one that they lie on, which shapes alone do not tell.
    """
    if device is None:
        (device, *_) = jax.tree.leaves(params)[0].devices()
    dtype = run.compute_dtype(name)
    if eight := dtype == INT8:
        dtype = "float32" if device.platform == "cpu" else "bfloat16"  # of all but the kernels
    wanted = cast(name, params, config, dtype)
    params.clear()  # what is laid out anew must not be held twice
    if name == "gpt":
        return gpt.laid_out(wanted, device.platform, eight_bits=eight)
    return dit.laid_out(wanted) if name == "dit" else wanted
