"""What compiled programs depend on besides the model: the machine, the versions, this program."""

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

# The code that compiled programs are made of; a stage that lies elsewhere is not kept.
FOLDERS = ("layers", "models", "sampling", "runtime")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where a compiled program runs: anywhere else it is made anew."""

    device: str  # its kind, for instance NVIDIA H200
    platform: str  # cpu, gpu or tpu, with the version of the driver's side
    machine: str  # of a CPU: architecture, model, and a hash of what it can do
    jax: str
    jaxlib: str
    project: str  # version of this program
    source: str  # hash of the source of its stages
    options: str  # of XLA

    @property
    def key(self) -> str:
        """A short name for all of it."""
        return digest(to_data(self))[:16]

    def differences(self, other: "Environment") -> list[str]:
        """In what `other` differs from this one, in words."""
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
    """A hash of the code that programs are made of."""
    sums = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(path for name in FOLDERS for path in (root / name).rglob("*.py")):
        sums.update(f"{path.relative_to(root).as_posix()}\n".encode())
        sums.update(path.read_bytes())
    return sums.hexdigest()[:16]


@functools.cache
def _processor() -> str:
    """What a program compiled for this processor relies on, as far as the system tells."""
    name, can = platform.processor(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            can = " ".join(sorted(value.split()))
    return f"{platform.machine()} {name} {digest(can)[:8]}"
