"""The models and prompts to time: a checkpoint, or sizes filled with random numbers."""

import base64
import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import soundfile

from benchmarks.workload import NEVER
from indextts_jax.config import ModelConfig, RunConfig, bundled_config, load_config
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, Params, structure
from indextts_jax.runtime import precision
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.versions.registry import version_of

DATA = Path(__file__).parents[1] / "indextts_jax/data"
SIZES = {"published": "indextts2", "published25": "indextts2_5", "tiny": "tiny"}
SPOKEN = tuple(name for name in COMPONENTS if name != "text_emotion")
"""The components that a text and a recording need."""
# Random numbers that are drawn; they are repeated as often as it takes. A prime number, so that no
# two rows of a kernel are the same.
BLOCK = 1_048_573


def random_model(
    sizes: str,
    dtype: str | None,
    *,
    fused_attention: bool = False,
    components: Iterable[str] = SPOKEN,
) -> Model:
    """A model of these sizes (of `SIZES`, or a configuration's file) with random weights.

    Made on the default device, in seconds: time does not depend on values.
    """
    if sizes in SIZES:
        config = bundled_config(SIZES[sizes])
    elif Path(sizes).is_file():
        config = load_config(Path(sizes))
    else:
        raise InputError(f"--random must be {', '.join(SIZES)} or a YAML file, got {sizes!r}")
    run = RunConfig(dtype=dtype, fused_attention=fused_attention)
    if fused_attention:
        (device,) = jnp.zeros(()).devices()
        precision.check_kernels(config, device)
    block = jax.random.normal(jax.random.key(0), (BLOCK,), jnp.float32)
    params = {name: _filled(name, config, run, block) for name in components}
    tokenizer = version_of(config).tokenizer(TOKENIZERS[config.version]())
    return Model(config, params, tokenizer, run=run)


def byte_ranks() -> bytes:
    """A file of ranks with the single bytes alone, in GPT-2's order: a token for each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = [*shown, *(byte for byte in range(256) if byte not in shown)]
    lines = (f"{base64.b64encode(bytes([byte])).decode()} {n}\n" for n, byte in enumerate(order))
    return "".join(lines).encode()


TOKENIZERS = {
    "2.0": (DATA / "demo_tokenizer.model").read_bytes,
    "2.5": byte_ranks,  # the published file is not in the project
}
"""Makes the data of a tokenizer, by version."""


def _filled(name: str, config: ModelConfig, run: RunConfig, block: jax.Array) -> Params:
    expected = structure(name, config).expected
    (device,) = block.devices()

    def fill(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct, block: jax.Array) -> jax.Array:
        key = getattr(path[-1], "key", "")
        if key in ("scale", "var", "gamma"):
            return jnp.ones(leaf.shape, leaf.dtype)
        if key in ("bias", "mean", "alpha", "beta"):
            return jnp.zeros(leaf.shape, leaf.dtype)
        scale = math.prod(leaf.shape[:-1]) ** -0.5 if key == "kernel" else 1.0
        count = math.prod(leaf.shape)
        repeated = jnp.broadcast_to(block, (-(-count // BLOCK), BLOCK)).reshape(-1)
        return (scale * repeated[:count]).reshape(leaf.shape).astype(leaf.dtype)

    def make(block: jax.Array) -> Params:
        params = jax.tree_util.tree_map_with_path(lambda p, leaf: fill(p, leaf, block), expected)
        # In the dtype and layout that loading produces.
        return precision.place_params(name, params, config, run, device)

    # One program a component. The block is its argument: drawn inside, XLA would draw it again
    # for every array.
    return jax.jit(make)(block)


def opened(
    checkpoint: Path | None, sizes: str | None, dtype: str | None, *, fused_attention: bool = False
) -> Model:
    """The model to time; its stop code is never chosen.

    Raises:
        InputError: unless there is a checkpoint or sizes, not both.
    """
    if (checkpoint is None) == (sizes is None):
        raise InputError(f"give a checkpoint, or --random and one of {', '.join(SIZES)}")
    if checkpoint is not None:
        run = RunConfig(dtype=dtype, fused_attention=fused_attention)
        return without_stop(load_model(checkpoint, run, components=SPOKEN))
    assert sizes is not None
    return without_stop(random_model(sizes, dtype, fused_attention=fused_attention))


def without_stop(model: Model) -> Model:
    """The model with the stop code forbidden: every text takes its full number of codes."""
    gpt = dict(model.params["gpt"])
    head = dict(gpt["code_head"])
    head["bias"] = head["bias"].at[model.config.gpt.stop_code].set(NEVER)
    gpt["code_head"] = head
    params = {name: gpt if name == "gpt" else model.params[name] for name in model.params}
    return dataclasses.replace(model, params=params)


def prompt(speaker: Path, seconds: float, folder: Path) -> Path:
    """The recording, repeated or cut to exactly that many seconds."""
    samples, rate = soundfile.read(speaker, dtype="float32")
    if samples.ndim > 1:
        samples = samples[:, 0]
    path = folder / f"{seconds:g}s.wav"
    soundfile.write(path, np.resize(samples, int(seconds * rate)), rate, subtype="FLOAT")
    return path
