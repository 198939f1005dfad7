"""Compute dtypes, and the check for fused attention kernels."""

import jax

from indextts_jax.config import INT8, ModelConfig, RunConfig
from indextts_jax.errors import InputError
from indextts_jax.layers.kernels.attention import supported
from indextts_jax.models.components import FUSED, Params, structure
from indextts_jax.runtime import devices
from indextts_jax.runtime.layout import to_device_layout


def cast(name: str, params: Params, config: ModelConfig, dtype: str) -> Params:
    """Parameters in a compute dtype; stored tables stay float32."""
    expected = structure(name, config, dtype).expected
    return jax.tree.map(lambda array, like: array.astype(like.dtype), params, expected)


def check_kernels(config: ModelConfig, device: jax.Device) -> None:
    """Checks that a device can run fused attention in decoding and in the flow.

    Raises:
        InputError: for a device or a head width without a kernel.
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


def uses_kernels(component: str, config: ModelConfig, run: RunConfig, device: jax.Device) -> bool:
    """Whether a component runs with fused attention on a device."""
    if run.fused_attention is not None or component != "dit":
        return bool(run.fused_attention)
    width = config.dit.width // config.dit.heads
    return devices.lacks_kernels(device) is None and supported(width)


def place_params(
    name: str,
    params: Params,
    config: ModelConfig,
    run: RunConfig,
    device: jax.Device | None = None,
) -> Params:
    """A component's parameters in compute dtype and device layout; `params` is emptied.

    `device` is the one that holds them; it must be given if `params` are only shapes.
    """
    if device is None:
        (device, *_) = jax.tree.leaves(params)[0].devices()
    dtype = run.compute_dtype(name)
    if eight := dtype == INT8:
        # For everything except the kernels.
        dtype = "float32" if device.platform == "cpu" else "bfloat16"
    wanted = cast(name, params, config, dtype)
    params.clear()  # drops the stored arrays, so that none is held in two layouts at once
    return to_device_layout(name, wanted, device.platform, eight_bits=eight, config=config)
