"""Which device runs the model."""

import re

import jax

from indextts_jax.errors import InputError

PLATFORMS = ("auto", "cpu", "cuda", "tpu")
KERNELS_FROM = 8.0  # least compute capability
_NAMES = {"gpu": "CUDA", "cuda": "CUDA", "cpu": "CPU", "tpu": "TPU", "rocm": "ROCm"}


def choose(platform: str = "auto") -> jax.Device:
    """The first device of a platform; `auto` is JAX's default.

    Raises:
        InputError: if JAX has no such device.
    """
    if platform not in PLATFORMS:
        raise InputError(
            f"device must be one of {', '.join(PLATFORMS)}, got {platform!r}", "device"
        )
    if platform == "auto":
        return jax.devices()[0]
    try:
        return jax.devices(platform)[0]
    except RuntimeError as error:
        seen = ", ".join(sorted({device.platform for device in jax.devices()}))
        extra = {"cuda": " (install the extra cuda12 or cuda13)", "tpu": " (install the extra tpu)"}
        raise InputError(
            f"device {platform} is not available; JAX {jax.__version__} sees only: "
            f"{seen}{extra.get(platform, '')}",
            "device",
        ) from error


def describe(device: jax.Device) -> str:
    """The device in human-readable form: `CUDA (NVIDIA H200)`, `CPU`."""
    name = _NAMES.get(device.platform, device.platform.upper())
    kind = device.device_kind
    return name if kind.lower() == device.platform else f"{name} ({kind})"


def lacks_kernels(device: jax.Device) -> str | None:
    """Why a device cannot run kernels for NVIDIA GPUs, as `needed, found`; None if it can."""
    wanted = f"an NVIDIA GPU of compute capability {KERNELS_FROM} or more"
    capability = str(getattr(device, "compute_capability", ""))
    if not re.fullmatch(r"\d+\.\d+", capability):  # AMD devices give a name here
        return f"{wanted}, but the model is on {describe(device)}"
    if float(capability) < KERNELS_FROM:
        return f"{wanted}, but {describe(device)} has {capability}"
    return None
