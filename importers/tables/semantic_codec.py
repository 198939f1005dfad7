"""The MaskGCT semantic codec, encoder and quantiser, into the component `semantic_codec`."""

from importers.sizes import Axis, Setting, Size
from importers.table import Drop, Row
from importers.transforms import conv1d, folded, linear, pointwise, weight_norm

# Keys of `config.yaml`.
SIZES: dict[str, Size] = {
    "width": Setting("semantic_codec.hidden_size"),
    "hidden": Setting("semantic_codec.vocos_dim"),
    "feed_forward": Setting("semantic_codec.vocos_intermediate_dim"),
    "layers": Setting("semantic_codec.vocos_num_layers"),
    "kernel": Axis("encoder.0.embed.weight", 2),
    "codes": Setting("semantic_codec.codebook_size"),
    "code_width": Setting("semantic_codec.codebook_dim"),
}

_DECODER = "only version 2.5 decodes codes in this way"

TABLE: list[Row | Drop] = [
    Row("embed.kernel", "encoder.0.embed.weight", conv1d),
    Row("embed.bias", "encoder.0.embed.bias"),
    Row("norm_in.scale", "encoder.0.norm.weight"),
    Row("norm_in.bias", "encoder.0.norm.bias"),
    Row("blocks.gamma", "encoder.0.convnext.{layer}.gamma"),
    Row("blocks.depthwise.kernel", "encoder.0.convnext.{layer}.dwconv.weight", conv1d),
    Row("blocks.depthwise.bias", "encoder.0.convnext.{layer}.dwconv.bias"),
    Row("blocks.norm.scale", "encoder.0.convnext.{layer}.norm.weight"),
    Row("blocks.norm.bias", "encoder.0.convnext.{layer}.norm.bias"),
    Row("blocks.fc_in.kernel", "encoder.0.convnext.{layer}.pwconv1.weight", linear),
    Row("blocks.fc_in.bias", "encoder.0.convnext.{layer}.pwconv1.bias"),
    Row("blocks.fc_out.kernel", "encoder.0.convnext.{layer}.pwconv2.weight", linear),
    Row("blocks.fc_out.bias", "encoder.0.convnext.{layer}.pwconv2.bias"),
    Row("norm_out.scale", "encoder.0.final_layer_norm.weight"),
    Row("norm_out.bias", "encoder.0.final_layer_norm.bias"),
    Row("projection.kernel", "encoder.1.weight", linear),
    Row("projection.bias", "encoder.1.bias"),
    Row(
        "quantiser.project_in.kernel",
        weight_norm("quantizer.quantizers.0.in_project"),
        folded(pointwise),
    ),
    Row("quantiser.project_in.bias", "quantizer.quantizers.0.in_project.bias"),
    Row(
        "quantiser.project_out.kernel",
        weight_norm("quantizer.quantizers.0.out_project"),
        folded(pointwise),
    ),
    Row("quantiser.project_out.bias", "quantizer.quantizers.0.out_project.bias"),
    Row("quantiser.codebook.embedding", "quantizer.quantizers.0.codebook.weight"),
    Drop("decoder.0.embed.weight", _DECODER),
    Drop("decoder.0.embed.bias", _DECODER),
    Drop("decoder.0.norm.weight", _DECODER),
    Drop("decoder.0.norm.bias", _DECODER),
    Drop("decoder.0.convnext.{layer}.gamma", _DECODER),
    Drop("decoder.0.convnext.{layer}.dwconv.weight", _DECODER),
    Drop("decoder.0.convnext.{layer}.dwconv.bias", _DECODER),
    Drop("decoder.0.convnext.{layer}.norm.weight", _DECODER),
    Drop("decoder.0.convnext.{layer}.norm.bias", _DECODER),
    Drop("decoder.0.convnext.{layer}.pwconv1.weight", _DECODER),
    Drop("decoder.0.convnext.{layer}.pwconv1.bias", _DECODER),
    Drop("decoder.0.convnext.{layer}.pwconv2.weight", _DECODER),
    Drop("decoder.0.convnext.{layer}.pwconv2.bias", _DECODER),
    Drop("decoder.0.final_layer_norm.weight", _DECODER),
    Drop("decoder.0.final_layer_norm.bias", _DECODER),
    Drop("decoder.1.weight", _DECODER),
    Drop("decoder.1.bias", _DECODER),
]
