"""Trees of arrays that are not a model, such as the state of a training run, in an Orbax directory.

The caller must ensure that the directory appears atomically.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp

from indextts_jax.checkpoint.reading import CheckpointMismatch, compare_trees, quiet
from indextts_jax.checkpoint.writing import CheckpointError, reason_of
from indextts_jax.utils.atomic import await_writers


def write_arrays(folder: Path, trees: Mapping[str, Any]) -> None:
    """Writes nested dicts of arrays, by name, into a new directory.

    Raises:
        CheckpointError: if writing fails; a partial directory may remain.
    """
    context = ocp.Context()
    context.array.saving.use_compression = (
        False  # it saves a tenth of the space and doubles the time
    )
    try:
        with quiet(), context:
            ocp.save_checkpointables(folder.absolute(), dict(trees))
    except Exception as error:  # Orbax passes on any error of its storage layers
        await_writers(folder.parent)
        raise CheckpointError(f"cannot write {folder}: {reason_of(error)}") from error


def read_arrays(folder: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The trees in a directory; `expected` gives shapes, dtypes and shardings.

    Raises:
        CheckpointMismatch: naming every array that differs or cannot be read.
    """
    folder = folder.absolute()
    with quiet():
        try:
            held = ocp.checkpointables_metadata(folder).metadata
            problems = []
            for name, tree in expected.items():
                problems += compare_trees(name, held.get(name), tree)
            problems += [
                f"unexpected: {name}"
                for name, tree in held.items()
                if name not in expected and isinstance(tree, Mapping)
            ]
            if problems:
                raise CheckpointMismatch(folder, problems)
            return dict(ocp.load_checkpointables(folder, dict(expected)))
        except CheckpointMismatch:
            raise
        except Exception as error:  # Orbax passes on any error of its storage layers
            words = " ".join(str(error).split())[:300]
            raise CheckpointMismatch(folder, [f"it cannot be read: {words}"]) from error


def read_all(folder: Path) -> dict[str, Any]:
    """All trees in a directory as NumPy arrays.

    Raises:
        CheckpointMismatch: naming what cannot be read.
    """
    folder = folder.absolute()
    with quiet():
        try:
            held = ocp.checkpointables_metadata(folder).metadata
        except Exception as error:  # Orbax passes on any error of its storage layers
            words = " ".join(str(error).split())[:300]
            raise CheckpointMismatch(folder, [f"it cannot be read: {words}"]) from error
    device = jnp.zeros(()).sharding
    trees = {name: tree for name, tree in held.items() if isinstance(tree, Mapping)}
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), trees
    )
    return {name: jax.tree.map(np.asarray, t) for name, t in read_arrays(folder, expected).items()}
