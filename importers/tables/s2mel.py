"""s2mel.pth: the components `length_regulator` and `dit`, from one file.

The names are those of the file's part `net`, joined by dots. The targets begin with the component's
name: the expected tree is {"length_regulator": ..., "dit": ...} of both components, and each array
of the file is used once in total.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from importers.rules import Rule
from importers.sizes import Axis, Setting, Size
from importers.table import Drop, Row, identity
from importers.transforms import conv1d, folded, linear, pointwise, stacked, weight_norm
from indextts_jax.config import (
    DiTConfig,
    FeatureRegulatorConfig,
    LengthRegulatorConfig,
    ModelConfig,
)

LINEARS = 3  # in the projection of latents, hard-coded in the reference


def feed_forward_width(width: int) -> int:
    """Two thirds of four times the width, rounded up to a multiple of 256."""
    return -(-int(2 * 4 * width / 3) // 256) * 256


# Component -> dotted field of its configuration (`projection.0`: the first of a tuple) -> where the
# number comes from.
REGULATOR_SIZES: dict[str, Size] = {  # of every version
    "features": Setting("s2mel.length_regulator.in_channels"),
    "width": Setting("s2mel.length_regulator.channels"),
    "layers": Setting("s2mel.length_regulator.sampling_ratios", len),
    "kernel": Axis("length_regulator.model.0.weight", 2),
}
SIZES: dict[str, dict[str, Size]] = {
    "length_regulator": {
        "latents": Setting("gpt.model_dim"),
        **{f"projection.{i}": Axis(f"gpt_layer.{i}.weight", 0) for i in range(LINEARS - 1)},
        **REGULATOR_SIZES,
    },
    "dit": {
        "width": Setting("s2mel.DiT.hidden_dim"),
        "layers": Setting("s2mel.DiT.depth"),
        "heads": Setting("s2mel.DiT.num_heads"),
        "feed_forward": Setting("s2mel.DiT.hidden_dim", feed_forward_width),
        "mels": Setting("s2mel.DiT.in_channels"),
        "condition": Setting("s2mel.DiT.content_dim"),
        "style": Setting("s2mel.style_encoder.dim"),
        "frequencies": Axis("cfm.estimator.t_embedder.freqs", 0),
        "wavenet.layers": Setting("s2mel.wavenet.num_layers"),
        "wavenet.kernel": Setting("s2mel.wavenet.kernel_size"),
        "wavenet.dilation": Setting("s2mel.wavenet.dilation_rate"),
    },
}

# Options of `config.yaml` that would change the result, and the one supported value.
SUPPORTED: dict[str, Any] = {
    "s2mel.dit_type": "DiT",
    "s2mel.length_regulator.is_discrete": False,
    "s2mel.length_regulator.vector_quantize": False,
    "s2mel.length_regulator.f0_condition": False,
    "s2mel.DiT.style_condition": True,
    "s2mel.DiT.final_layer_type": "wavenet",
    "s2mel.DiT.target": "mel",
    "s2mel.DiT.f0_condition": False,
    "s2mel.DiT.is_causal": False,
    "s2mel.DiT.long_skip_connection": True,
    "s2mel.DiT.zero_prompt_speech_token": False,
    "s2mel.DiT.time_as_token": False,
    "s2mel.DiT.style_as_token": False,
    "s2mel.DiT.uvit_skip_connection": True,
    "s2mel.DiT.add_resblock_in_transformer": False,
}

# Pairs of keys with the same meaning; the reference runs, or loads, only if they agree.
EQUAL = {
    "s2mel.wavenet.style_condition": "s2mel.DiT.style_condition",
    "s2mel.wavenet.hidden_dim": "s2mel.DiT.hidden_dim",
    "s2mel.DiT.content_dim": "s2mel.length_regulator.channels",
    "s2mel.DiT.in_channels": "s2mel.preprocess_params.spect_params.n_mels",
}


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """Published settings that this program does not support, by key."""

    def lookup(key: str) -> Any:
        value: Any = settings
        for part in key.split("."):
            value = value[part]
        return value

    unsupported = [
        f"{key} is {lookup(key)!r}; only {value!r} is supported"
        for key, value in SUPPORTED.items()
        if lookup(key) != value
    ]
    unequal = [
        f"{left} is {lookup(left)!r}, but {right} is {lookup(right)!r}: they must agree"
        for left, right in EQUAL.items()
        if lookup(left) != lookup(right)
    ]
    return unsupported + unequal


def split_columns(*widths: int) -> Rule:
    """Splits a matrix (out, in) over concatenated inputs into one (width, out) for each."""

    def split(weight: Any) -> tuple[Any, ...]:
        if weight.shape[1] != sum(widths):
            raise ValueError(f"{weight.shape[1]} columns are not {' + '.join(map(str, widths))}")
        starts = [sum(widths[:i]) for i in range(len(widths))]
        return tuple(weight[:, s : s + w].T for s, w in zip(starts, widths, strict=True))

    return Rule(split, lambda *kernels: np.concatenate([kernel.T for kernel in kernels], axis=1))


def halved_rotary(heads: int) -> Rule:
    """A fused q, k, v (3 * width, width) to (width, 3 * width), permuted for rotary over halves.

    The reference rotates dimensions 2i and 2i + 1 of each head together. With the even dimensions
    first and then the odd ones, in both q and k, their products are unchanged and the two halves of
    a head rotate together.
    """

    def permute(weight: Any) -> Any:
        xp = weight.__array_namespace__()
        width = weight.shape[1]
        query_key = weight[: 2 * width].reshape(2 * heads, -1, 2, width)
        halves = query_key.transpose(0, 2, 1, 3).reshape(2 * width, width)
        return xp.concat([halves, weight[2 * width :]]).T

    def interleave(kernel: Any) -> Any:
        # Works for any number of inputs: export also permutes the second LoRA factor with it.
        inputs, width = kernel.shape[0], kernel.shape[1] // 3
        halves = kernel.T[: 2 * width].reshape(2 * heads, 2, -1, inputs)
        query_key = halves.transpose(0, 2, 1, 3).reshape(2 * width, inputs)
        return np.concatenate([query_key, kernel.T[2 * width :]])

    return Rule(permute, interleave)


def _linear(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.kernel", f"{source}.weight", linear),
        Row(f"{target}.bias", f"{source}.bias"),
    ]


def _weight_norm(target: str, source: str, rule: Rule) -> list[Row]:
    return [
        Row(f"{target}.kernel", weight_norm(source), folded(rule)),
        Row(f"{target}.bias", f"{source}.bias"),
    ]


def regulator_rows(cfg: LengthRegulatorConfig | FeatureRegulatorConfig) -> list[Row | Drop]:
    """The length regulator without the projection of latents, the same in every version."""
    target, source = "length_regulator", "length_regulator.model"

    def layers(name: str, offset: int, rule: Rule = identity) -> Row:
        """A layer is three modules: convolution, norm, activation."""
        names = [f"{source}.{3 * i + offset}" for i in range(cfg.layers)]
        path, kind = name.split(":")
        return Row(f"{target}.layers.{path}", tuple(f"{n}.{kind}" for n in names), stacked(rule))

    last = f"{source}.{3 * cfg.layers}"
    return [
        *_linear(f"{target}.input", "length_regulator.content_in_proj"),
        layers("conv.kernel:weight", 0, conv1d),
        layers("conv.bias:bias", 0),
        layers("norm.scale:weight", 1),
        layers("norm.bias:bias", 1),
        Row(f"{target}.output.kernel", f"{last}.weight", pointwise),
        Row(f"{target}.output.bias", f"{last}.bias"),
        Drop("length_regulator.embedding.weight", "discrete codes as input; ours is continuous"),
        Drop("length_regulator.mask_token", "stands for masked content in training"),
    ]


def _latent_projection() -> list[Row]:
    return [
        row
        for i in range(LINEARS)
        for row in _linear(f"length_regulator.latent_projection.{i}", f"gpt_layer.{i}")
    ]


def _time(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.freqs", f"{source}.freqs"),
        *_linear(f"{target}.fc_in", f"{source}.mlp.0"),
        *_linear(f"{target}.fc_out", f"{source}.mlp.2"),
    ]


def _norm(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.scale", f"{source}.norm.weight"),
        *_linear(f"{target}.projection", f"{source}.project_layer"),
    ]


def _blocks(cfg: DiTConfig) -> list[Row | Drop]:
    block, layer = "dit.blocks", "cfm.estimator.transformer.layers.{layer}"
    first = cfg.layers // 2 + 1  # with a skip connection
    numbered = layer.format(layer=f"{{layer+{first}}}")
    return [
        *_norm(f"{block}.norm_attention", f"{layer}.attention_norm"),
        Row(
            f"{block}.attention.qkv.kernel",
            f"{layer}.attention.wqkv.weight",
            halved_rotary(cfg.heads),
        ),
        Row(f"{block}.attention.out.kernel", f"{layer}.attention.wo.weight", linear),
        *_norm(f"{block}.norm_feed_forward", f"{layer}.ffn_norm"),
        Row(f"{block}.feed_forward.gate.kernel", f"{layer}.feed_forward.w1.weight", linear),
        Row(f"{block}.feed_forward.up.kernel", f"{layer}.feed_forward.w3.weight", linear),
        Row(f"{block}.feed_forward.down.kernel", f"{layer}.feed_forward.w2.weight", linear),
        *_linear("dit.skips", f"{numbered}.skip_in_linear"),
        *(
            Drop(f"{layer.format(layer=i)}.skip_in_linear.{kind}", f"layer {i} has no skip")
            for i in range(first)
            for kind in ("weight", "bias")
        ),
    ]


def _wavenet(cfg: DiTConfig) -> list[Row]:
    source, last = "cfm.estimator.wavenet", cfg.wavenet.layers - 1
    # equal layers are stacked; layers that differ in dilation are a list
    layers = "dit.wavenet.layers" + ("" if cfg.wavenet.dilation == 1 else ".{j}")

    def layer(target: str, j: int | str) -> list[Row]:
        return [
            *_weight_norm(f"{target}.conv", f"{source}.in_layers.{j}.conv.conv", conv1d),
            *_weight_norm(
                f"{target}.res_skip", f"{source}.res_skip_layers.{j}.conv.conv", pointwise
            ),
        ]

    return [
        *_weight_norm("dit.wavenet.condition", f"{source}.cond_layer.conv.conv", pointwise),
        *layer(layers, "{j}"),
        *layer("dit.wavenet.last", last),
    ]


def dit_rows(cfg: DiTConfig) -> list[Row | Drop]:
    """The velocity field, the same in every version."""
    source = "cfm.estimator"
    merged = ("x", "prompt", "condition", "style")
    embedder = f"{source}.x_embedder"
    unused = "an embedding of the state that the estimator never calls"
    return [
        *_time("dit.time", f"{source}.t_embedder"),
        *_time("dit.wavenet_time", f"{source}.t_embedder2"),
        *_linear("dit.condition", f"{source}.cond_projection"),
        Row(
            tuple(f"dit.merge_{name}.kernel" for name in merged),
            f"{source}.cond_x_merge_linear.weight",
            split_columns(cfg.mels, cfg.mels, cfg.width, cfg.style),
        ),
        Row("dit.merge_condition.bias", f"{source}.cond_x_merge_linear.bias"),
        *_blocks(cfg),
        *_norm("dit.norm", f"{source}.transformer.norm"),
        *_linear("dit.long_skip", f"{source}.skip_linear"),
        *_linear("dit.wavenet_in", f"{source}.conv1"),
        *_wavenet(cfg),
        *_linear("dit.residual", f"{source}.res_projection"),
        *_linear("dit.final_modulation", f"{source}.final_layer.adaLN_modulation.1"),
        *_weight_norm("dit.final", f"{source}.final_layer.linear", linear),
        Row("dit.out.kernel", f"{source}.conv2.weight", pointwise),
        Row("dit.out.bias", f"{source}.conv2.bias"),
        Drop(f"{source}.input_pos", "positions 0, 1, 2, ...; the model computes them"),
        Drop(f"{embedder}.weight_g", unused),
        Drop(f"{embedder}.weight_v", unused),
        Drop(f"{embedder}.parametrizations.weight.original0", unused),
        Drop(f"{embedder}.parametrizations.weight.original1", unused),
        Drop(f"{embedder}.weight", unused),
        Drop(f"{embedder}.bias", unused),
        Drop(f"{source}.cond_embedder.weight", "discrete content; ours is always continuous"),
        Drop(f"{source}.content_mask_embedder.weight", "stands for masked content in training"),
    ]


def table(config: ModelConfig) -> list[Row | Drop]:
    """The rows of both components."""
    regulator = [*_latent_projection(), *regulator_rows(config.length_regulator)]
    return [*regulator, *dit_rows(config.dit)]


def table_v25(config: ModelConfig) -> list[Row | Drop]:
    """The rows of both components in version 2.5, which has no use for the GPT's latents."""
    unused = [
        Drop(f"gpt_layer.{i}.{kind}", "version 2.5 makes no latents to project")
        for i in range(LINEARS)
        for kind in ("weight", "bias")
    ]
    return [*unused, *regulator_rows(config.length_regulator), *dit_rows(config.dit)]
