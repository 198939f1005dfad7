"""Device layout: parameters in the layout that a device reads fastest.

Networks accept both the stored layout and this one. Only the GPT and the DiT are converted, and on
GPUs the vocoder: the other components run once per prompt or segment.
"""

from typing import Any

import jax
import jax.numpy as jnp

from indextts_jax.config import ModelConfig, VocoderConfig
from indextts_jax.layers.correlation import OutputMajor
from indextts_jax.layers.matmul import Quantized, Streamed, quantize_kernel, stream_kernel
from indextts_jax.layers.snake import Factor
from indextts_jax.layers.stack import unstack
from indextts_jax.layers.upsample import sub_pixel_kernel
from indextts_jax.models.components import Params

GPUS = ("gpu", "cuda")


def to_device_layout(
    name: str,
    params: Params,
    platform: str,
    *,
    eight_bits: bool = False,
    config: ModelConfig | None = None,
) -> Params:
    """A component's parameters in the layout for a platform; `params` is modified.

    `eight_bits` quantises the kernels of the GPT's layers; no other component supports it. With
    `config`, the vocoder is converted for GPUs, too.
    """
    if name == "gpt":
        return _gpt(params, platform, eight_bits)
    if name == "dit":
        return _dit(params, platform)
    if name == "vocoder" and platform in GPUS and config is not None:
        return _vocoder(params, config.vocoder)
    return params


def _gpt(params: Params, platform: str, eight_bits: bool) -> Params:
    """Unstacks the layers; on a CPU also transposes kernels to one contiguous row per output.

    Unstacked, because XLA copies a slice of a stacked array on every use (see `layers.stack`), that
    is, in every decoding step. The head is never quantised: small differences there change which
    code is sampled.
    """

    def place(name: str, layer: jax.Array) -> jax.Array | Streamed | Quantized:
        if name == "kernel" and eight_bits:
            return quantize_kernel(layer)
        return stream_kernel(layer) if name == "kernel" and platform == "cpu" else layer

    unstack(params["blocks"], place)
    head = params["code_head"]
    if platform == "cpu":
        head["kernel"] = stream_kernel(head["kernel"])
    elif platform in GPUS and head["kernel"].dtype != jnp.float32:
        # cuBLAS takes columns by the eight: otherwise XLA would pad the whole kernel at every step.
        head["kernel"] = jnp.pad(head["kernel"], ((0, 0), (0, -head["kernel"].shape[1] % 8)))
    return params


def _dit(params: Params, platform: str) -> Params:
    """Unstacks the layers; on a GPU convolutions get the order of cuDNN."""
    stacks = [params[name] for name in ("blocks", "skips") if name in params]
    layers = params["wavenet"].get("layers", {})
    if "conv" in layers:  # otherwise the layers differ in shape and are stored one by one
        stacks.append(layers)
    for stack in stacks:
        unstack(stack)
    if platform in GPUS:
        last = params["wavenet"]["last"]["conv"]
        last["kernel"] = OutputMajor.of(last["kernel"])
        if "conv" in layers:
            conv = layers["conv"]
            conv["kernel"] = tuple(map(OutputMajor.of, conv["kernel"]))
        for layer in () if "conv" in layers else layers.values():
            layer["conv"]["kernel"] = OutputMajor.of(layer["conv"]["kernel"])
    return params


def _vocoder(params: Params, cfg: VocoderConfig) -> Params:
    """Kernels in the order of cuDNN, and the activations' factors: both made once, not per call."""

    def convert(held: dict[Any, Any]) -> None:
        if "kernel" in held:
            held["kernel"] = OutputMajor.of(held["kernel"])
        if "alpha" in held:
            held["alpha"] = Factor.of_alpha(held["alpha"], cfg.log_scale)
            held["beta"] = Factor.of_beta(held["beta"], cfg.log_scale)
        for inner in held.values():
            if isinstance(inner, dict):
                convert(inner)

    for number, rate in enumerate(cfg.rates):
        up = params["ups"][number]
        if len(up["kernel"]) % rate == 0:
            up["kernel"] = OutputMajor.of(sub_pixel_kernel(up["kernel"], rate))
    convert({name: held for name, held in params.items() if name != "ups"})
    return params
