"""Devices that need not be present: GPUs are described in `targets/`, TPUs by libtpu."""

import os
import re
from pathlib import Path

import jax
from jax.experimental import topologies

from tools.gpu.tpus import TPUS

TARGETS = Path(__file__).parent / "targets"


def target_device(target: str) -> jax.Device:
    """The device of a target: a name in `targets/` or of a TPU, or a textproto's path.

    Raises:
        FileNotFoundError: if it is none of these.
    """
    if target in TPUS:
        os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # libtpu would ask the cloud's metadata server
        return topologies.get_topology_desc(platform="tpu", topology_name=TPUS[target]).devices[0]
    topology = topologies.get_topology_desc(
        platform="cuda", target_config=_description(target), topology="1x1x1"
    )
    return topology.devices[0]


def device_memory(target: str) -> int:
    """Bytes of a target's memory.

    Raises:
        FileNotFoundError: as `target_device`.
        ValueError: for a description without it.
    """
    found = re.search(r"device_memory_size: (\d+)", _description(target))
    if found is None:
        raise ValueError(f"--target {target}: its description has no device_memory_size")
    return int(found[1])


def _description(target: str) -> str:
    path = TARGETS / f"{target}.txtpb"
    if not path.is_file() and not (path := Path(target)).is_file():
        known = ", ".join(sorted([*(p.stem for p in TARGETS.glob("*.txtpb")), *TPUS]))
        raise FileNotFoundError(f"--target must be {known} or a textproto's path, got {target!r}")
    return path.read_text(encoding="utf-8")
