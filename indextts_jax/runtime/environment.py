"""What compiled programs depend on, apart from the model: machine, versions, source code."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

import jax
import jaxlib

from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import to_data

# Packages whose code is compiled; programs of functions from elsewhere are not stored.
FOLDERS = ("layers", "models", "sampling", "runtime")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The environment of a compiled program; in any other it is compiled again."""

    device: str  # kind of device, for example NVIDIA H200
    platform: str  # cpu, gpu or tpu, with the platform version
    machine: str  # of a CPU: architecture, model, and a hash of its features
    jax: str
    jaxlib: str
    project: str  # version of this program
    source: str  # hash of the source of its stages
    options: str  # of XLA

    @property
    def key(self) -> str:
        """A short hash of all fields."""
        return digest(to_data(self))[:16]

    def differences(self, other: "Environment") -> list[str]:
        """The fields in which `other` differs from this one, in words."""
        names = [field.name for field in dataclasses.fields(self)]
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return [
            f"{name} {theirs!r}, here {ours!r}" for name, ours, theirs in pairs if ours != theirs
        ]


def environment(device: jax.Device) -> Environment:
    """The environment of programs for a device of this machine."""
    on_cpu = device.platform == "cpu"
    return Environment(
        device=device.device_kind,
        platform=f"{device.platform} {device.client.platform_version}",
        machine=_processor() if on_cpu else platform.machine(),
        jax=jax.__version__,
        jaxlib=jaxlib.__version__,
        project=_version(),
        source=source(),
        options=os.environ.get("XLA_FLAGS", ""),
    )


def _version() -> str:
    try:
        return importlib.metadata.version("indextts-jax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # run from a source tree that was never installed


@functools.cache
def source() -> str:
    """A hash of the source code of compiled programs."""
    sums = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(path for name in FOLDERS for path in (root / name).rglob("*.py")):
        sums.update(f"{path.relative_to(root).as_posix()}\n".encode())
        sums.update(path.read_bytes())
    return sums.hexdigest()[:16]


@functools.cache
def _processor() -> str:
    """The processor's architecture, model and features, as far as the system reports them."""
    name, features = platform.processor(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            features = " ".join(sorted(value.split()))
    return f"{platform.machine()} {name} {digest(features)[:8]}"
