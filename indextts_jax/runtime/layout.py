"""Device layout: parameters in the layout that a device reads fastest.

Networks accept both the stored layout and this one. Only the GPT and the DiT are converted: the
other components run once per prompt or segment.
"""

import jax

from indextts_jax.layers.matmul import Quantized, Streamed, quantize_kernel, stream_kernel
from indextts_jax.layers.stack import unstack
from indextts_jax.models.components import Params


def to_device_layout(
    name: str, params: Params, platform: str, *, eight_bits: bool = False
) -> Params:
    """A component's parameters in the layout for a platform; `params` is modified.

    `eight_bits` quantises the kernels of the GPT's layers; no other component supports it.
    """
    if name == "gpt":
        return _gpt(params, platform, eight_bits)
    return _dit(params) if name == "dit" else params


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
    return params


def _dit(params: Params) -> Params:
    """Unstacks the layers."""
    stacks = [params[name] for name in ("blocks", "skips") if name in params]
    layers = params["wavenet"].get("layers", {})
    if "conv" in layers:  # otherwise the layers differ in shape and are stored one by one
        stacks.append(layers)
    for stack in stacks:
        unstack(stack)
    return params
