"""Which device runs the model."""

import re

import jax

from indextts_jax.errors import InputError

PLATFORMS = ("auto", "cpu", "cuda", "tpu")
KERNELS_FROM = 8.0  # compute capability
_NAMES = {"gpu": "CUDA", "cuda": "CUDA", "cpu": "CPU", "tpu": "TPU", "rocm": "ROCm"}


def choose(platform: str = "auto") -> jax.Device:
    """The first device of a platform; `auto` is what JAX itself prefers.

    Raises:
        InputError: if this installation of JAX sees no such device.
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
            f"device {platform}: there is no such device; JAX {jax.__version__} sees only: "
            f"{seen}{extra.get(platform, '')}",
            "device",
        ) from error


def describe(device: jax.Device) -> str:
    """The device as a person knows it: `CUDA (NVIDIA H200)`, `CPU`."""
    name = _NAMES.get(device.platform, device.platform.upper())
    kind = device.device_kind
    return name if kind.lower() == device.platform else f"{name} ({kind})"


def lacks_kernels(device: jax.Device) -> str | None:
    """What a device would have to be to run kernels written for NVIDIA GPUs; none if it is."""
    wanted = f"an NVIDIA GPU of compute capability {KERNELS_FROM} or more"
    capability = str(getattr(device, "compute_capability", ""))
    if not re.fullmatch(r"\d+\.\d+", capability):  # of AMD's it is a name
        return f"{wanted}, the model is on {describe(device)}"
    if float(capability) < KERNELS_FROM:
        return f"{wanted}, {describe(device)} has {capability}"
    return None
