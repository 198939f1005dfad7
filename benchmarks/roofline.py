"""Floors: the least time that a stage can take on this device.

The multiply-adds and bytes of a stage follow from the sizes of the model (norms, activations and
softmax not counted, every weight and every cached key read once); bandwidth and matrix peak are
measured in the same run. The floor is the longer of both times. A stage may beat a floor only by
doing less than the plain formulae say.
"""

import dataclasses
import functools
import itertools
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import ConformerConfig, ModelConfig, PerceiverConfig
from indextts_jax.models.components import structure

PUBLISHED_STYLE = 5.63e6  # multiply-adds of the style encoder for a row, at the published sizes
TAPS = 24  # of the vocoder's two filters around each activation, per element
TRANSFERS = 4.7  # element transfers per activation in the vocoder, each of them fused


@dataclasses.dataclass(frozen=True)
class Cost:
    """Floating-point operations (two for a multiply-add) and bytes."""

    flops: float
    bytes: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


@dataclasses.dataclass(frozen=True)
class Peak:
    """What the device was measured to do, in a second."""

    flops: float
    bandwidth: float  # bytes

    def floor(self, cost: Cost) -> float:
        """Seconds that the work takes at least."""
        return max(cost.flops / self.flops, cost.bytes / self.bandwidth)


def parameters(config: ModelConfig, component: str) -> int:
    """The number of a component's parameters."""
    return sum(
        math.prod(leaf.shape) for leaf in jax.tree.leaves(structure(component, config).expected)
    )


def _weights(config: ModelConfig, component: str, width: int) -> float:
    return float(width * parameters(config, component))


# The autoregressive model


def trunk(config: ModelConfig) -> int:
    """Weights of the GPT's matrices, the head aside."""
    gpt = config.gpt
    return gpt.layers * (4 * gpt.width**2 + 2 * gpt.width * gpt.feed_forward)


def streamed(config: ModelConfig) -> int:
    """Parameters that each step of decoding reads: trunk, norms, head, with their biases."""
    gpt = config.gpt
    layer = 9 * gpt.width + gpt.feed_forward  # biases of four matrices, and two norms
    head = (gpt.width + 1) * gpt.code_vocabulary
    return trunk(config) + gpt.layers * layer + 4 * gpt.width + head


def step(config: ModelConfig, keys: int, beams: int, width: int, rows: int = 1) -> Cost:
    """One step of decoding over that many keys, with values of `width` bytes."""
    gpt = config.gpt
    head = gpt.width * gpt.code_vocabulary
    sequences = rows * beams
    flops = sequences * (2 * (trunk(config) + head) + 4 * gpt.layers * gpt.width * keys)
    cached = sequences * keys * 2 * gpt.layers * gpt.width
    return Cost(float(flops), float(width * (streamed(config) + cached)))


def whole_pass(config: ModelConfig, positions: int, width: int, rows: int = 1) -> Cost:
    """All positions at once through the trunk, with causal attention."""
    gpt = config.gpt
    flops = positions * 2 * trunk(config) + 2 * gpt.layers * gpt.width * positions**2
    return Cost(float(rows * flops), float(width * trunk(config)))


def prefix_length(config: ModelConfig, tokens: int) -> int:
    """Positions before the first code: conditioning, text with its ends, start code."""
    gpt = config.gpt
    return gpt.conditioning_latents + gpt.speed_rows + tokens + 2 + 1


def decode(
    config: ModelConfig, tokens: int, codes: int, beams: int, width: int, rows: int = 1
) -> list[Cost]:
    """The prefix, then each step."""
    start = prefix_length(config, tokens)
    steps = [step(config, start + i, beams, width, rows) for i in range(codes)]
    return [whole_pass(config, start, width, rows), *steps]


def latents(config: ModelConfig, tokens: int, codes: int, width: int, rows: int = 1) -> Cost:
    """The pass over finished codes."""
    return whole_pass(config, prefix_length(config, tokens) + codes + 1, width, rows)


# The prompt


def semantic_encoder(config: ModelConfig, positions: int) -> Cost:
    """17 layers of the semantic encoder."""
    cfg = config.semantic_encoder
    d = cfg.width
    layer = 4 * d * cfg.feed_forward + 4 * d**2 + 3 * d**2 + d * cfg.kernel + 3 * d * positions
    macs = positions * (cfg.features * d + cfg.layers * layer)
    return Cost(2.0 * macs, _weights(config, "semantic_encoder", 4))


def semantic_codec(config: ModelConfig, positions: int) -> Cost:
    """Encoder and quantiser."""
    cfg = config.semantic_codec
    layers = cfg.layers * (cfg.hidden * cfg.kernel + 2 * cfg.hidden * cfg.feed_forward)
    ends = cfg.width * cfg.hidden * cfg.kernel + cfg.hidden * cfg.width
    quantiser = 2 * cfg.width * cfg.code_width + cfg.code_width * cfg.codes
    macs = positions * (layers + ends + quantiser)
    return Cost(2.0 * macs, _weights(config, "semantic_codec", 4))


def style_encoder(config: ModelConfig, rows: int) -> Cost | None:
    """Known for the published sizes alone."""
    cfg = config.style_encoder
    if (cfg.width, cfg.growth, tuple(cfg.layers)) != (128, 32, (12, 24, 16)):
        return None
    return Cost(2.0 * PUBLISHED_STYLE * rows, _weights(config, "style_encoder", 4))


def _conformer(cfg: ConformerConfig, positions: int) -> float:
    """Multiply-adds of a conformer that halves its input's rate."""
    bands, d = (cfg.features - 3) // 2 + 1, cfg.width
    entry = bands * d * 9 + bands * d * d
    layer = 2 * d * cfg.feed_forward + 5 * d**2 + 3 * d**2 + d * cfg.kernel + 3 * d * positions
    return float(positions * (entry + cfg.layers * layer))


def _perceiver(cfg: PerceiverConfig, positions: int) -> float:
    inner = cfg.heads * cfg.head_width
    keys = positions + cfg.latents
    project = positions * cfg.context * cfg.width if cfg.context != cfg.width else 0
    attention = 2 * cfg.latents * cfg.width * inner + 2 * keys * cfg.width * inner
    attention += 2 * cfg.latents * keys * inner
    return float(
        project + cfg.layers * (attention + 3 * cfg.latents * cfg.width * cfg.feed_forward)
    )


def conditioning(config: ModelConfig, positions: int, emotions: int = 2) -> Cost:
    """Speaker latents once, an emotion vector `emotions` times."""
    cfg, half = config.conditioning, (positions - 3) // 2 + 1
    speaker = _conformer(cfg.speaker_encoder, half) + _perceiver(cfg.speaker_perceiver, half)
    emotion = _conformer(cfg.emotion_encoder, half) + _perceiver(cfg.emotion_perceiver, half)
    return Cost(2 * (speaker + emotions * emotion), _weights(config, "conditioning", 4))


# The sound


def velocity(config: ModelConfig, frames: int, width: int, rows: int = 2) -> Cost:
    """One evaluation of the flow's field; two rows with guidance."""
    cfg = config.dit
    d, ff, net = cfg.width, cfg.feed_forward, cfg.wavenet
    transformer = cfg.layers * (4 * d * d + 3 * d * ff) + cfg.layers // 2 * 2 * d * d
    wavenet = net.layers * (2 * d * d * net.kernel) + (net.layers - 1) * 2 * d * d + d * d
    entry = cfg.condition * d + (2 * cfg.mels + d + cfg.style) * d
    end = (d + cfg.mels) * d + 3 * d * d + d * cfg.mels
    frame = transformer + wavenet + entry + end + 2 * cfg.layers * d * frames
    times = 2 * (cfg.layers * 2 + 2) * d * d + 2 * net.layers * d * d
    times += 2 * (2 * cfg.frequencies * d + d * d)
    return Cost(2.0 * rows * (frames * frame + times), _weights(config, "dit", width))


def regulator(config: ModelConfig, codes: int, frames: int, width: int, rows: int = 1) -> Cost:
    """Projection of the latents, embedding of the codes, length regulator."""
    cfg, codec = config.length_regulator, config.semantic_codec
    widths = (cfg.latents, *cfg.projection, cfg.features)
    project = sum(a * b for a, b in itertools.pairwise(widths))
    code = project + codec.code_width * codec.width + cfg.features * cfg.width
    frame = cfg.layers * cfg.kernel * cfg.width**2 + cfg.width**2
    macs = codes * code + frames * frame
    return Cost(2.0 * rows * macs, _weights(config, "length_regulator", width))


def flow(
    config: ModelConfig, prompt: int, codes: int, frames: int, steps: int, width: int, rows: int = 1
) -> list[Cost]:
    """The regulator, then each step over prompt and target, with guidance."""
    each = velocity(config, prompt + frames, width, 2 * rows)
    return [regulator(config, codes, frames, width, rows), *[each] * steps]


def vocoder(config: ModelConfig, frames: int, width: int, rows: int = 1) -> Cost:
    """The vocoder, its activations fused."""
    cfg = config.vocoder
    macs, elements, rate, channels = cfg.mels * cfg.channels * cfg.outer_kernel, 0, 1, cfg.channels
    convs = 2 * sum(
        kernel * len(dilations)
        for kernel, dilations in zip(cfg.block_kernels, cfg.block_dilations, strict=True)
    )
    count = 2 * sum(map(len, cfg.block_dilations))
    for factor, kernel in zip(cfg.rates, cfg.kernels, strict=True):
        macs += channels * (channels // 2) * kernel * rate
        rate, channels = rate * factor, channels // 2
        macs += convs * channels**2 * rate
        elements += count * channels * rate
    elements += channels * rate
    macs += channels * cfg.outer_kernel * rate + TAPS * elements
    moved = width * TRANSFERS * elements * frames * rows
    return Cost(2.0 * rows * macs * frames, moved + _weights(config, "vocoder", width))


# The device


def _best(run: Callable[[], object], repeats: int) -> float:
    jax.block_until_ready(run())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return min(times)


def _copied() -> float:
    """Bytes a second that the cores of this machine move between two arrays, all at once.

    XLA's own copy writes to fresh memory each time, which costs more than the copy.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    source = [np.ones(2**26 // count, np.float32) for _ in range(count)]
    target = [np.zeros_like(part) for part in source]
    with ThreadPoolExecutor(count) as pool:
        best = _best(lambda: list(pool.map(np.copyto, target, source)), 5)
    return 2 * sum(part.nbytes for part in source) / best


def measure(dtype: str = "float32", repeats: int = 5) -> Peak:
    """Bandwidth and matrix peak of the default device, each the best of several runs.

    The bandwidth is that of reading a matrix of half a gigabyte for one product with a vector, or
    of copying, whichever is faster: neither fits in a cache.
    """
    on_cpu = jax.default_backend() == "cpu"
    size = 2048 if on_cpu else 8192
    kind = jnp.dtype(dtype)
    square = jnp.ones((size, size), kind)
    with jax.default_matmul_precision("highest"):
        sums = jnp.int32 if dtype == "int8" else jnp.float32  # as in the stages

        def product(axis: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
            dimensions = (((1,), (axis,)), ((), ()))
            dot = functools.partial(jax.lax.dot_general, dimension_numbers=dimensions)
            return jax.jit(functools.partial(dot, preferred_element_type=sums))

        # Contracts either axis of the second matrix: in half precision a CPU is faster on a
        # transposed one.
        forms = [functools.partial(product(axis), square, square) for axis in (0, 1)]
        flops = 2 * size**3 / min(_best(form, repeats) for form in forms)
        large = jnp.ones((2**13, 2**29 // kind.itemsize // 2**13), kind)
        few = jnp.ones((large.shape[1],), kind)
        stream = functools.partial(product(0), large, few)
        read = large.nbytes / _best(stream, repeats)
    if on_cpu:
        return Peak(flops, max(read, _copied()))
    copy = jax.jit(lambda a: a + kind.type(1))
    return Peak(flops, max(read, 2 * large.nbytes / _best(lambda: copy(large), repeats)))
