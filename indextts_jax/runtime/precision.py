"""Compute dtypes and kernels: what a component is computed with."""

import dataclasses

import jax

from indextts_jax.config import COMPUTE_DTYPES, INT8, Config
from indextts_jax.errors import InputError
from indextts_jax.layers.kernels.attention import supported
from indextts_jax.models.components import Params, structure
from indextts_jax.runtime import devices
from indextts_jax.runtime.layout import to_device_layout


def cast(name: str, params: Params, config: Config, dtype: str) -> Params:
    """Parameters in a compute dtype; stored tables stay float32."""
    expected = structure(name, config, dtype).expected
    return jax.tree.map(lambda array, like: array.astype(like.dtype), params, expected)


def with_compute_dtype(config: Config, dtype: str | None) -> Config:
    """The configuration with the compute dtype of every stage that may run in halves set.

    The encoders of the prompt stay float32: they run once a prompt, and small errors there choose
    other codes. With int8 the others run in bfloat16.
    """
    if dtype is None:
        return config
    if dtype not in COMPUTE_DTYPES:
        raise InputError(
            f"dtype must be one of {', '.join(COMPUTE_DTYPES)}, got {dtype!r}", "dtype"
        )
    others = ("length_regulator", "dit", "vocoder", "text_emotion")
    half = "bfloat16" if dtype == INT8 else dtype
    compute = dataclasses.replace(config.compute, gpt=dtype, **dict.fromkeys(others, half))
    return dataclasses.replace(config, compute=compute)


def with_fused_attention(config: Config, device: jax.Device) -> Config:
    """The configuration with attention of decoding and flow in kernels, on a device for them.

    Raises:
        InputError: for a device or a head width that there is no kernel for.
    """
    if (lack := devices.lacks_kernels(device)) is not None:
        raise InputError(f"fused attention needs {lack}")
    widths = {
        "gpt": config.gpt.width // config.gpt.heads,
        "dit": config.dit.width // config.dit.heads,
    }
    for name, width in widths.items():
        if not supported(width):
            raise InputError(
                f"fused attention takes heads of width 16, 32, 64, 128 or 256; {name} has {width}"
            )
    return dataclasses.replace(
        config,
        gpt=dataclasses.replace(config.gpt, fused_attention=True),
        dit=dataclasses.replace(config.dit, fused_attention=True),
    )


def place_params(
    name: str, params: Params, config: Config, device: jax.Device | None = None
) -> Params:
    """A component's parameters as they are computed with; `params` is emptied on the way.

    The device is the one that they lie on, which shapes alone do not tell.
    """
    if device is None:
        (device, *_) = jax.tree.leaves(params)[0].devices()
    dtype = getattr(config.compute, name, "float32")
    if eight := dtype == INT8:
        dtype = "float32" if device.platform == "cpu" else "bfloat16"  # of all but the kernels
    wanted = cast(name, params, config, dtype)
    params.clear()  # no array is held in two layouts at once
    return to_device_layout(name, wanted, device.platform, eight_bits=eight)
