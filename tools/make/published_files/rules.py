"""Random values for the published arrays, by their names.

The standard deviations keep activations in a realistic range at the published sizes: norms near 1,
variances and magnitudes of weight norm positive, kernels scaled by their fan-in, tables by what
they are added to. Arrays that training does not change (positions, frequencies, filters) have their
fixed values.
"""

import math
import re
from collections.abc import Sequence

import numpy as np

from indextts_jax.layers.snake import low_pass
from tools.make.published_files.manifest import Spec

Gains = Sequence[tuple[str, float]]
"""(pattern of an array's name, factor on its usual spread): the first that matches counts."""

GAINS: dict[str, Gains] = {
    "gpt": (
        (r"linear_(q|k|pos)\.weight|to_(q|kv)\.weight|c_attn\.weight", 1.3),
        (r"embedding|latents", 0.5),
    ),
    "w2v_bert": (
        (r"linear_(q|k)\.weight", 1.3),
        (r"distance_embedding", 0.5),
        (r"bias", 0.3),
        (r"encoder.*(linear|dense|pointwise)", 0.6),
    ),
    "semantic_codec": ((r"in_project\.bias", 0.3),),
    "campplus": ((r"linear_local|linear\d?\.weight", 1.4),),
    "s2mel": ((r"wqkv", 1.3), (r"t_embedder.*weight", 1.2)),
    "bigvgan": (
        (r"act\.(alpha|beta)", 0.3),
        (r"resblocks.*weight", 0.7),
        (r"conv_pre", 0.3),
        (r"conv_post", 0.04),
    ),
    "spk_matrix": ((r"", 5.0),),
    "emo_matrix": ((r"", 0.5),),
}

TABLES = r"(embedding|emb|embedder|codebook|embed_tokens)\.weight|distance_embedding|matrix|latents"
TRANSPOSED = r"gpt\.h\.\d+\.(attn|mlp)\.c_\w+\.weight"  # kernels that are stored (in, out)


def value(file: str, name: str, spec: Spec, seed: int) -> np.ndarray:
    """The array `name` of a file: it depends on seed, file, name and shape alone."""
    rng = np.random.default_rng([seed, *f"{file}/{name}".encode()])
    if spec.dtype == "int64":
        return _counter(spec)
    fixed = _fixed(name, spec)
    if fixed is not None:
        return fixed
    gain = next((gain for pattern, gain in GAINS.get(file, ()) if re.search(pattern, name)), 1.0)
    if name.endswith("weight_g"):  # its direction's length is about the gain
        return _uniform(rng, spec, gain, 1.2 * gain)
    if name.endswith("running_var"):
        return _uniform(rng, spec, 0.5, 1.5)
    noise = rng.standard_normal(spec.shape, np.float32)
    return _spread(file, name, noise, gain)


def _spread(file: str, name: str, noise: np.ndarray, gain: float) -> np.ndarray:
    """Standard normal numbers, moved and scaled in place for an array of this name."""
    if name.endswith("running_mean"):
        noise *= 0.2
    elif name.endswith(("convnext.gamma", ".gamma")) and "convnext" in name:
        _near(noise, 0.5)
    elif name.endswith((".alpha", ".beta")) or re.search(TABLES, name):
        noise *= gain
    elif name.endswith("bias"):
        noise *= 0.15 * gain
        if name.endswith("project_layer.bias"):  # the factor on the normalised stream comes first
            noise[: len(noise) // 2] += 0.7
    elif noise.ndim == 1:
        _near(noise, 1.0)
    else:
        fan = len(noise) if re.search(TRANSPOSED, name) else math.prod(noise.shape[1:])
        noise *= gain / math.sqrt(fan)
    return noise


def _near(noise: np.ndarray, centre: float) -> None:
    """Makes standard normal numbers positive ones near `centre`, in place."""
    np.clip(noise, -2, 2, out=noise)
    noise *= 0.2
    noise += centre


def _uniform(rng: np.random.Generator, spec: Spec, low: float, high: float) -> np.ndarray:
    return (low + (high - low) * rng.random(spec.shape, np.float32)).astype(np.float32)


def _counter(spec: Spec) -> np.ndarray:
    """Positions for a row of integers, a number of training steps for a single one."""
    return np.arange(spec.shape[0]) if spec.shape else np.asarray(1000, np.int64)


def _fixed(name: str, spec: Spec) -> np.ndarray | None:
    """What training leaves alone: sinusoids, frequencies, filters; none for anything else."""
    if name.endswith("pos_enc.pe"):
        _, rows, width = spec.shape
        rates = np.exp(np.arange(0, width, 2) * (-math.log(10000) / width))
        angles = np.arange(rows)[:, None] * rates
        table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
        return table.reshape(spec.shape).astype(np.float32)
    if name.endswith(".freqs"):
        (count,) = spec.shape
        return np.exp(np.arange(count) * (-math.log(10000) / count)).astype(np.float32)
    if name.endswith("filter"):
        return low_pass().reshape(spec.shape)
    return None
