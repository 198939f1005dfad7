"""The trained leaves of a run in one small file, to continue on another machine.

    write_weights("runs/tokens")                    # runs/tokens/weights.safetensors, float16
    train --dst runs/tokens --resume --weights_only # elsewhere, with recipe, provenance and log

Optimizer moments are not included: resuming is not exact, and the learning rate warms up again.
"""

from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from indextts_jax.errors import InputError
from indextts_jax.training.result import read_result
from indextts_jax.utils.atomic import write_whole

FILE = "weights.safetensors"
HALF_MAX = float(np.finfo(np.float16).max)


def write_weights(run: str | Path, step: int | None = None) -> Path:
    """Writes the leaves of the best save, or of a step, in float16 (float32 if out of range).

    Raises:
        InputError: for a directory without such a save.
    """
    result = read_result(run, step)
    arrays = {path: _narrow(np.asarray(leaf)) for path, leaf in result.leaves.items()}
    data = safetensors.numpy.save(arrays, {"step": str(result.step)})
    write_whole(Path(run) / FILE, data)
    return Path(run) / FILE


def _narrow(leaf: np.ndarray) -> np.ndarray:
    return leaf if np.abs(leaf).max(initial=0) > HALF_MAX else leaf.astype(np.float16)


def read_weights(path: Path) -> tuple[int, dict[str, np.ndarray]]:
    """Reads the step and the leaves of a file.

    Raises:
        InputError: if it is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: file not found; weights_only resumes from it")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            step = int((file.metadata() or {})["step"])
            return step, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error!s:.200}") from error
