"""Device layout: parameters in the form in which a device reads them fastest.

Networks take either form. What runs once for a prompt or a segment stays as it is stored.
"""

import jax

from indextts_jax.layers.matmul import Quantized, Streamed, quantize_kernel, stream_kernel
from indextts_jax.layers.stack import unstack
from indextts_jax.models.components import Params


def to_device_layout(
    name: str, params: Params, platform: str, *, eight_bits: bool = False
) -> Params:
    """A component's parameters in the layout for a platform; those given are consumed on the way.

    `eight_bits` rounds kernels of the GPT's layers; no other component has that form.
    """
    if name == "gpt":
        return _gpt(params, platform, eight_bits)
    return _dit(params) if name == "dit" else params


def _gpt(params: Params, platform: str, eight_bits: bool) -> Params:
    """Unstacked layers; on a CPU, kernels with a row for each output.

    The head is never rounded to 8 bits: which code is drawn depends on small differences there.
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
    """Unstacked layers."""
    stacks = [params[name] for name in ("blocks", "skips") if name in params]
    layers = params["wavenet"].get("layers", {})
    if "conv" in layers:  # else its layers differ, and are stored one by one
        stacks.append(layers)
    for stack in stacks:
        unstack(stack)
    return params
