"""Wav2Vec2-BERT and the statistics of its output, into the component `semantic_encoder`.

Two published files fill this component: `model.safetensors` through `TABLE`, and the file of
stored statistics through `STATISTICS`.
"""

from collections.abc import Mapping
from typing import Any

from importers.sizes import Fixed, Setting, Size
from importers.table import Drop, Row, Tensor, matching
from importers.transforms import conv1d, linear, pointwise
from indextts_jax.audio.features import BANDS

USED_LAYERS = 17

# Keys of the model's own `config.json`.
SIZES: dict[str, Size] = {
    "features": Setting("feature_projection_input_dim"),
    "width": Setting("hidden_size"),
    "layers": Fixed(USED_LAYERS, "the pipeline takes `hidden_states[17]`"),
    "heads": Setting("num_attention_heads"),
    "feed_forward": Setting("intermediate_size"),
    "kernel": Setting("conv_depthwise_kernel_size"),
    "left": Setting("left_max_position_embeddings"),
    "right": Setting("right_max_position_embeddings"),
    "norm_eps": Setting("layer_norm_eps", float),
}

# Least valid value of each number that is read from `config.json`.
LEAST = {
    "hidden_size": 1,
    "num_hidden_layers": USED_LAYERS,
    "num_attention_heads": 1,
    "intermediate_size": 1,
    "conv_depthwise_kernel_size": 1,
    "left_max_position_embeddings": 0,
    "right_max_position_embeddings": 0,
    "layer_norm_eps": 0.0,
}

# Other keys of `config.json` that change the result, and the supported values.
IMPLEMENTED = {
    "feature_projection_input_dim": (2 * BANDS,),  # two frames of filter banks side by side
    "hidden_act": ("swish", "silu"),  # two names of one function
    "position_embeddings_type": ("relative_key",),
    "add_adapter": (False,),
    "use_intermediate_ffn_before_adapter": (False,),
}

# The reference's defaults for absent keys.
DEFAULTS = {
    "feature_projection_input_dim": 160,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_depthwise_kernel_size": 31,
    "left_max_position_embeddings": 64,
    "right_max_position_embeddings": 8,
    "layer_norm_eps": 1e-5,
    "hidden_act": "swish",
    "position_embeddings_type": "relative_key",
    "add_adapter": False,
    "use_intermediate_ffn_before_adapter": False,
}

# Supported values of the optional `preprocessor_config.json`.
FEATURES = {"feature_size": BANDS, "num_mel_bins": BANDS, "stride": 2, "sampling_rate": 16000}


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`config.json` with the reference's defaults for absent keys."""
    return {**DEFAULTS, **settings}


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """Unsupported values in `config.json`, by key."""
    settings = completed(settings)
    problems = []
    for key, least in LEAST.items():
        value = settings[key]
        if type(value) not in (int, type(least)) or value < least:
            problems.append(f"{key} is {value!r}: expected a number from {least} up")
    for key, values in IMPLEMENTED.items():
        if (value := settings[key]) not in values:
            known = " or ".join(map(repr, values))
            problems.append(f"{key} is {value!r}: only {known} is supported")
    return problems


def check_features(settings: Mapping[str, Any]) -> list[str]:
    """Unsupported values in `preprocessor_config.json`, by key."""
    return [
        f"{key} is {settings[key]!r}: only {only!r} is supported"
        for key, only in FEATURES.items()
        if settings.get(key, only) != only
    ]


def check_layers(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """Problems with the layers in the file: wrong number, or missing tensors."""
    last = "encoder.layers.{layer}.final_layer_norm.weight"
    held = {int(name.split(".")[2]) for name in matching(last, list(tensors))}
    said = completed(settings)["num_hidden_layers"]
    if type(said) is not int:
        return []  # reported by `check_settings`
    if said != len(held) or max(held, default=-1) != said - 1:
        return [f"num_hidden_layers is {said}, but the file holds {len(held)} encoder layers"]
    unused = [
        f"encoder.layers.{layer}.{row.source}"
        for layer in range(USED_LAYERS, said)
        for row in _LAYER
    ]
    return [
        f"missing: {name} (in a layer past those used)" for name in unused if name not in tensors
    ]


_LAYER = [
    Row("norm_feed_forward_in.scale", "ffn1_layer_norm.weight"),
    Row("norm_feed_forward_in.bias", "ffn1_layer_norm.bias"),
    Row("feed_forward_in.fc_in.kernel", "ffn1.intermediate_dense.weight", linear),
    Row("feed_forward_in.fc_in.bias", "ffn1.intermediate_dense.bias"),
    Row("feed_forward_in.fc_out.kernel", "ffn1.output_dense.weight", linear),
    Row("feed_forward_in.fc_out.bias", "ffn1.output_dense.bias"),
    Row("norm_attention.scale", "self_attn_layer_norm.weight"),
    Row("norm_attention.bias", "self_attn_layer_norm.bias"),
    Row("attention.query.kernel", "self_attn.linear_q.weight", linear),
    Row("attention.query.bias", "self_attn.linear_q.bias"),
    Row("attention.key.kernel", "self_attn.linear_k.weight", linear),
    Row("attention.key.bias", "self_attn.linear_k.bias"),
    Row("attention.value.kernel", "self_attn.linear_v.weight", linear),
    Row("attention.value.bias", "self_attn.linear_v.bias"),
    Row("attention.out.kernel", "self_attn.linear_out.weight", linear),
    Row("attention.out.bias", "self_attn.linear_out.bias"),
    Row("attention.distance", "self_attn.distance_embedding.weight"),
    Row("norm_convolution.scale", "conv_module.layer_norm.weight"),
    Row("norm_convolution.bias", "conv_module.layer_norm.bias"),
    Row("convolution.value_gate.kernel", "conv_module.pointwise_conv1.weight", pointwise),
    Row("convolution.depthwise.kernel", "conv_module.depthwise_conv.weight", conv1d),
    Row("convolution.norm_depthwise.scale", "conv_module.depthwise_layer_norm.weight"),
    Row("convolution.norm_depthwise.bias", "conv_module.depthwise_layer_norm.bias"),
    Row("convolution.out.kernel", "conv_module.pointwise_conv2.weight", pointwise),
    Row("norm_feed_forward_out.scale", "ffn2_layer_norm.weight"),
    Row("norm_feed_forward_out.bias", "ffn2_layer_norm.bias"),
    Row("feed_forward_out.fc_in.kernel", "ffn2.intermediate_dense.weight", linear),
    Row("feed_forward_out.fc_in.bias", "ffn2.intermediate_dense.bias"),
    Row("feed_forward_out.fc_out.kernel", "ffn2.output_dense.weight", linear),
    Row("feed_forward_out.fc_out.bias", "ffn2.output_dense.bias"),
    Row("norm_out.scale", "final_layer_norm.weight"),
    Row("norm_out.bias", "final_layer_norm.bias"),
]

# A row takes as many layers as the model has; a drop of the same name takes the rest.
TABLE: list[Row | Drop] = [
    Row("norm.scale", "feature_projection.layer_norm.weight"),
    Row("norm.bias", "feature_projection.layer_norm.bias"),
    Row("projection.kernel", "feature_projection.projection.weight", linear),
    Row("projection.bias", "feature_projection.projection.bias"),
    *(
        Row(f"blocks.{row.target}", f"encoder.layers.{{layer}}.{row.source}", row.transform)
        for row in _LAYER
    ),
    *(
        Drop(f"encoder.layers.{{layer}}.{row.source}", "a layer past the one whose output is used")
        for row in _LAYER
    ),
    Drop("masked_spec_embed", "stands for masked frames in training"),
]

STATISTICS: list[Row | Drop] = [Row("mean", "mean"), Row("var", "var")]
