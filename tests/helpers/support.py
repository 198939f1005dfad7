"""What the parity tests share: golden arrays, the tiny model as imported, and comparison."""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh
from tolerances import TOLERANCES

from importers.speech import Importer
from indextts_jax.config import ModelConfig

DATA = Path(__file__).parents[1] / "data"
TINY = DATA / "tiny"
CHECKPOINTS = TINY / "checkpoints"
MANIFESTS = DATA / "manifests"


@functools.cache
def golden(file: str) -> dict[str, np.ndarray]:
    """The arrays of `tests/data/tiny/tensors/<file>.npz`; they are shared: do not write to them."""
    with np.load(TINY / "tensors" / f"{file}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@functools.cache
def _importer() -> Importer:
    return Importer.open(CHECKPOINTS)


@functools.cache
def tiny_config() -> ModelConfig:
    """The configuration that importing the tiny set gives."""
    return _importer().config


@functools.cache
def tiny_params(component: str) -> dict[Any, Any]:
    """A component's parameters, from the tiny published files through the real importer."""
    return _importer().read(component)


def real(path: str) -> Path:
    """A file of the real data that `INDEXTTS_REAL` names; the test is skipped without it."""
    folder = os.environ.get("INDEXTTS_REAL")
    if not folder:
        pytest.skip("INDEXTTS_REAL does not name the folder of real data")
    return Path(folder) / path


def relative_errors(ours: Any, reference: Any) -> tuple[float, float]:
    """RMS and maximum of the difference, both over the RMS of the reference."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    assert ours.shape == reference.shape, f"shape {ours.shape}, reference {reference.shape}"
    difference = np.abs(ours - reference)
    scale = np.sqrt(np.mean(reference**2)) or 1.0
    return float(np.sqrt(np.mean(difference**2)) / scale), float(difference.max() / scale)


def assert_close(ours: Any, reference: Any, name: str) -> None:
    """Fails, naming the worst element, if the errors exceed the tolerances of `name`."""
    rms, largest = relative_errors(ours, reference)
    ours, reference = np.asarray(ours), np.asarray(reference)
    worst = np.unravel_index(np.argmax(np.abs(ours - reference)), ours.shape)
    report = (
        f"{name}: rms {rms:.2e}, max {largest:.2e} of the reference's RMS; worst at "
        f"{tuple(map(int, worst))}: {ours[worst]} against {reference[worst]}"
    )
    assert np.isfinite(ours).all(), f"{name} is not finite; {report}"
    assert name in TOLERANCES, f"no tolerance in tests/tolerances.py; {report}"
    assert rms <= TOLERANCES[name][0], report
    assert largest <= TOLERANCES[name][1], report


def kernels(function: Any, *given: Any, platform: str = "cuda") -> int:
    """The kernels of our own for NVIDIA GPUs in a jitted function's program for a platform."""
    return lowered(function, *given, platform=platform).count("custom_call @__gpu$xla.gpu.triton")


def lowered(function: Any, *given: Any, platform: str = "cuda") -> str:
    """A jitted function's program for a platform, before it is compiled."""
    # Newer releases of JAX want to know for what device; there is one here only by name.
    device = AbstractDevice(device_kind="NVIDIA H100", num_cores=132, platform="gpu")
    with use_abstract_mesh(AbstractMesh((), (), abstract_device=device)):
        return function.trace(*given).lower(lowering_platforms=(platform,)).as_text()
