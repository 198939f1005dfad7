"""BigVGAN's generator, into the component `vocoder`."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from importers.sizes import Axis, Setting, Size
from importers.table import Drop, Row, Tensor, matching
from importers.transforms import conv1d, conv_transpose1d, folded, weight_norm
from indextts_jax.config import MelConfig
from indextts_jax.layers.snake import low_pass

# Keys of the model's own `config.json`.
SIZES: dict[str, Size] = {
    "mels": Setting("num_mels"),
    "channels": Setting("upsample_initial_channel"),
    "rates": Setting("upsample_rates"),
    "kernels": Setting("upsample_kernel_sizes"),
    "block_kernels": Setting("resblock_kernel_sizes"),
    "block_dilations": Setting("resblock_dilation_sizes"),
    "outer_kernel": Axis("conv_pre.weight_v", 2),
    "log_scale": Setting("snake_logscale"),
}


def sizes(tensors: Mapping[str, Tensor]) -> dict[str, Size]:
    """`SIZES`, whose one tensor name depends on the file's form of weight norm."""
    spellings = [option[-1] for option in weight_norm("conv_pre").options]
    held = [name for name in spellings if name in tensors]
    return SIZES | ({"outer_kernel": Axis(held[0], 2)} if held else {})


# Other keys of `config.json` that change the result, and the one supported value.
IMPLEMENTED = {
    "resblock": "1",
    "activation": "snakebeta",
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
}

# The reference's defaults for absent keys.
DEFAULTS = {"use_tanh_at_final": True, "use_bias_at_final": True}


def check_settings(settings: Mapping[str, Any], mel: MelConfig | None = None) -> list[str]:
    """Problems of `config.json`: missing keys and unsupported values.

    With the flow's spectrogram given, also differences in its shape or rate; how it was computed in
    training (`fmin`, `n_fft`, ...) does not matter here.
    """
    keys = [size.key for size in SIZES.values() if isinstance(size, Setting)]
    needed = [str(key) for key in (*keys, *IMPLEMENTED) if key not in DEFAULTS]
    problems = [f"missing key {key}" for key in needed if key not in settings]
    for key, only in IMPLEMENTED.items():
        if settings.get(key, DEFAULTS.get(key, only)) != only:
            given = f"{settings[key]!r}" if key in settings else f"absent, so {DEFAULTS[key]!r}"
            problems.append(f"{key} is {given}: only {only!r} is supported")
    rates, hop = settings.get("upsample_rates", []), settings.get("hop_size")
    if not isinstance(rates, list) or any(type(rate) is not int for rate in rates):
        problems.append(f"upsample_rates is {rates!r}: expected a list of whole numbers")
    elif rates and hop is not None and hop != math.prod(rates):
        problems.append(f"hop_size is {hop!r}, but upsample_rates make {math.prod(rates)}")
    return problems + (_disagreements(settings, mel) if mel is not None else [])


def _disagreements(settings: Mapping[str, Any], mel: MelConfig) -> list[str]:
    """Differences between the spectrograms; missing keys are ignored."""
    wanted = {"num_mels": mel.mels, "sampling_rate": mel.sample_rate, "hop_size": mel.hop}
    return [
        f"{key} is {settings[key]!r}, but the model's spectrogram has {ours}"
        for key, ours in wanted.items()
        if key in settings and settings[key] != ours
    ]


_FILTER = "the low-pass filter's taps are computed from its design"

TABLE: list[Row | Drop] = [
    Row("conv_pre.kernel", weight_norm("conv_pre"), folded(conv1d)),
    Row("conv_pre.bias", "conv_pre.bias"),
    Row("ups.{s}.kernel", weight_norm("ups.{s}.0"), folded(conv_transpose1d)),
    Row("ups.{s}.bias", "ups.{s}.0.bias"),
    Row("blocks.{b}.first.{i}.kernel", weight_norm("resblocks.{b}.convs1.{i}"), folded(conv1d)),
    Row("blocks.{b}.first.{i}.bias", "resblocks.{b}.convs1.{i}.bias"),
    Row("blocks.{b}.second.{i}.kernel", weight_norm("resblocks.{b}.convs2.{i}"), folded(conv1d)),
    Row("blocks.{b}.second.{i}.bias", "resblocks.{b}.convs2.{i}.bias"),
    Row("blocks.{b}.activations.{a}.alpha", "resblocks.{b}.activations.{a}.act.alpha"),
    Row("blocks.{b}.activations.{a}.beta", "resblocks.{b}.activations.{a}.act.beta"),
    Row("activation_post.alpha", "activation_post.act.alpha"),
    Row("activation_post.beta", "activation_post.act.beta"),
    Row("conv_post.kernel", weight_norm("conv_post"), folded(conv1d)),
    Drop("resblocks.{b}.activations.{a}.upsample.filter", _FILTER),
    Drop("resblocks.{b}.activations.{a}.downsample.lowpass.filter", _FILTER),
    Drop("activation_post.upsample.filter", _FILTER),
    Drop("activation_post.downsample.lowpass.filter", _FILTER),
]


def check_filters(tensors: Mapping[str, Tensor]) -> list[str]:
    """Dropped filters that differ from those that the vocoder computes, by name."""
    patterns = [drop.source for drop in TABLE if isinstance(drop, Drop)]
    names = [name for pattern in patterns for name in matching(pattern, list(tensors))]
    return [
        f"{name} is not the low-pass filter of the reference's design"
        for name in names
        if not _is_low_pass(tensors[name])
    ]


def _is_low_pass(tensor: Tensor) -> bool:
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        return False
    taps = low_pass()[None, None]
    rounding = max(1e-6, float(jnp.finfo(tensor.dtype).eps))
    stored = np.asarray(tensor.read(), np.float32)
    return stored.shape == taps.shape and bool(np.abs(stored - taps).max() <= rounding)
