"""Wav2Vec2-BERT and the statistics of its output, into the component `semantic_encoder`.

Two published files fill the one component: `model.safetensors` through `TABLE`, and the file of
stored statistics through `STATISTICS`.
"""

from collections.abc import Mapping
from typing import Any

from importers.sizes import Fixed, Setting, Size
from importers.table import Drop, Row
from importers.transforms import conv1d, linear, pointwise

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

# The least value of each number in `config.json` that is read.
LEAST = {
    "feature_projection_input_dim": 1,
    "hidden_size": 1,
    "num_hidden_layers": USED_LAYERS,
    "num_attention_heads": 1,
    "intermediate_size": 1,
    "conv_depthwise_kernel_size": 1,
    "left_max_position_embeddings": 0,
    "right_max_position_embeddings": 0,
    "layer_norm_eps": 0.0,
}

# What else in `config.json` changes the result, and the values that this project computes.
IMPLEMENTED = {
    "hidden_act": ("swish", "silu"),  # two names of one function
    "position_embeddings_type": ("relative_key",),
    "add_adapter": (False,),
    "use_intermediate_ffn_before_adapter": (False,),
}


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """What `config.json` lacks, or asks for that is not implemented, by key; empty if nothing."""
    problems = [f"missing key {key}" for key in (*LEAST, *IMPLEMENTED) if key not in settings]
    for key, least in LEAST.items():
        value = settings.get(key, least)
        if type(value) not in (int, type(least)) or value < least:
            problems.append(f"{key} is {value!r}: expected a number from {least} up")
    for key, values in IMPLEMENTED.items():
        if (value := settings.get(key, values[0])) not in values:
            known = " or ".join(map(repr, values))
            problems.append(f"{key} is {value!r}: only {known} is implemented")
    return problems


_LAYER = [
    Row("norm_first.scale", "ffn1_layer_norm.weight"),
    Row("norm_first.bias", "ffn1_layer_norm.bias"),
    Row("first.fc_in.kernel", "ffn1.intermediate_dense.weight", linear),
    Row("first.fc_in.bias", "ffn1.intermediate_dense.bias"),
    Row("first.fc_out.kernel", "ffn1.output_dense.weight", linear),
    Row("first.fc_out.bias", "ffn1.output_dense.bias"),
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
    Row("convolution.norm.scale", "conv_module.layer_norm.weight"),
    Row("convolution.norm.bias", "conv_module.layer_norm.bias"),
    Row("convolution.gated.kernel", "conv_module.pointwise_conv1.weight", pointwise),
    Row("convolution.depthwise.kernel", "conv_module.depthwise_conv.weight", conv1d),
    Row("convolution.norm_depthwise.scale", "conv_module.depthwise_layer_norm.weight"),
    Row("convolution.norm_depthwise.bias", "conv_module.depthwise_layer_norm.bias"),
    Row("convolution.out.kernel", "conv_module.pointwise_conv2.weight", pointwise),
    Row("norm_second.scale", "ffn2_layer_norm.weight"),
    Row("norm_second.bias", "ffn2_layer_norm.bias"),
    Row("second.fc_in.kernel", "ffn2.intermediate_dense.weight", linear),
    Row("second.fc_in.bias", "ffn2.intermediate_dense.bias"),
    Row("second.fc_out.kernel", "ffn2.output_dense.weight", linear),
    Row("second.fc_out.bias", "ffn2.output_dense.bias"),
    Row("norm_out.scale", "final_layer_norm.weight"),
    Row("norm_out.bias", "final_layer_norm.bias"),
]

# A row takes as many layers as the model holds; a drop of the same name takes those that remain.
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
