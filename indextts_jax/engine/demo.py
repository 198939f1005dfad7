"""The built-in demo: random weights, a recording of a voice, a text."""

import importlib.resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import ModelConfig, RunConfig, bundled_config
from indextts_jax.models.components import COMPONENTS, Params, structure
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.precision import check_kernels, place_params
from indextts_jax.runtime.versions.registry import version_of

DEMO_WEIGHTS = 6  # seed of the random weights; this one speaks 0.4 s, without faults
DEMO_TEXT = "Good morning, everything runs."
DEMO_NOTE = """\
This is the demo: a small model with RANDOM weights. It shows that everything runs; what it says
sounds like noise. To hear IndexTTS-2, download its published files, then:
  python -m indextts_jax.import --src checkpoints/ --dst indextts2
  python -m indextts_jax.synth --checkpoint indextts2 --text "..." --speaker voice.wav"""

_DATA = Path(str(importlib.resources.files("indextts_jax"))) / "data"


def demo_speaker() -> Path:
    """The recording of a voice that comes with this package (public domain, LibriVox)."""
    return _DATA / "demo_speaker.wav"


def random_params(expected: Params, seed: int) -> Params:
    """Random values for a parameter tree: norms neutral, kernels scaled by what they sum over."""
    generator = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        match path[-1].key:
            case "scale" | "var" | "gamma":
                values = np.ones(leaf.shape)
            case "bias" | "mean" | "alpha" | "beta":
                values = np.zeros(leaf.shape)
            case "kernel":
                values = generator.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
            case _:
                values = generator.normal(size=leaf.shape)
        # `jnp.asarray` would compile an identity for each shape: a hundred before the first sound.
        return jax.device_put(values.astype(np.float32).astype(leaf.dtype))

    return jax.tree_util.tree_map_with_path(draw, expected)


def random_model(
    config: ModelConfig, tokenizer: bytes, seed: int = 0, run: RunConfig | None = None
) -> Model:
    """A model with random weights: it runs like a real one, and sounds like noise."""
    run = run or RunConfig()
    params = {
        name: place_params(name, random_params(structure(name, config).expected, seed), config, run)
        for name in COMPONENTS
    }
    return Model(config, params, version_of(config).tokenizer(tokenizer), run=run)


def demo_model(run: RunConfig) -> Model:
    """The small built-in model of random weights, on the default device.

    Raises:
        InputError: if the device has no kernels for fused attention.
    """
    config = bundled_config("tiny")
    if run.fused_attention:
        (device,) = jnp.zeros(()).devices()
        check_kernels(config, device)
    tokenizer = (_DATA / "demo_tokenizer.model").read_bytes()
    return random_model(config, tokenizer, DEMO_WEIGHTS, run)
