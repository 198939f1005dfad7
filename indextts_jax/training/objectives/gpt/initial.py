"""Initial parameters of the GPT and its conditioning, for training from scratch.

    params = {name: draw(name, config, key) for name in DRAWN}

The GPT is initialised like GPT-2: normal with standard deviation 0.02, scaled down in the output
projections of residual branches. Kernels of the conditioning networks are uniform within 1 /
sqrt(inputs). Biases are zero, and the conformers' position tables are computed.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.models.components import Params, structure

DRAWN = ("gpt", "conditioning", "training_heads")
DEVIATION = 0.02
JOINING = ("attention.out.kernel", "feed_forward.fc_out.kernel")


def draw(name: str, config: ModelConfig, key: jax.Array) -> Params:
    """New float32 parameters of a component in `DRAWN`."""
    # On the host: on a device, a program would be compiled for each shape.
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    joining = DEVIATION / math.sqrt(2 * config.gpt.layers)

    def one(path: Any, leaf: Any) -> jax.Array:
        dotted = ".".join(str(part.key) for part in path)
        kind = dotted.rpartition(".")[2]
        shape = leaf.shape
        if kind == "positions":
            return jnp.asarray(_positions(*shape))
        if kind == "scale":
            return jnp.ones(shape)
        if kind.endswith("bias"):
            return jnp.zeros(shape)
        if name == "conditioning" and kind == "kernel":
            inputs = math.prod(shape[1:-1] if ".blocks." in dotted else shape[:-1])
            return jnp.asarray(random.uniform(-1, 1, shape) * inputs**-0.5, jnp.float32)
        deviation = joining if dotted.endswith(JOINING) else DEVIATION
        return deviation * jnp.asarray(random.standard_normal(shape, np.float32))

    params: Params = jax.tree_util.tree_map_with_path(one, structure(name, config).expected)
    return params


def _positions(rows: int, width: int) -> np.ndarray:
    """Alternating sines and cosines, with wavelengths from 2 pi towards 20,000 pi."""
    rates = 10_000 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(rows)[:, None] * rates
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(rows, -1)
    return table[:, :width].astype(np.float32)
