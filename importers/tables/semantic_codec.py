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


def backbone(source: str, target: str = "") -> list[Row | Drop]:
    """The rows of an encoder or a decoder, which are built alike."""
    block, layer = f"{target}blocks", f"{source}.0.convnext.{{layer}}"
    return [
        Row(f"{target}embed.kernel", f"{source}.0.embed.weight", conv1d),
        Row(f"{target}embed.bias", f"{source}.0.embed.bias"),
        Row(f"{target}norm_in.scale", f"{source}.0.norm.weight"),
        Row(f"{target}norm_in.bias", f"{source}.0.norm.bias"),
        Row(f"{block}.gamma", f"{layer}.gamma"),
        Row(f"{block}.depthwise.kernel", f"{layer}.dwconv.weight", conv1d),
        Row(f"{block}.depthwise.bias", f"{layer}.dwconv.bias"),
        Row(f"{block}.norm.scale", f"{layer}.norm.weight"),
        Row(f"{block}.norm.bias", f"{layer}.norm.bias"),
        Row(f"{block}.fc_in.kernel", f"{layer}.pwconv1.weight", linear),
        Row(f"{block}.fc_in.bias", f"{layer}.pwconv1.bias"),
        Row(f"{block}.fc_out.kernel", f"{layer}.pwconv2.weight", linear),
        Row(f"{block}.fc_out.bias", f"{layer}.pwconv2.bias"),
        Row(f"{target}norm_out.scale", f"{source}.0.final_layer_norm.weight"),
        Row(f"{target}norm_out.bias", f"{source}.0.final_layer_norm.bias"),
        Row(f"{target}projection.kernel", f"{source}.1.weight", linear),
        Row(f"{target}projection.bias", f"{source}.1.bias"),
    ]


QUANTISER: list[Row | Drop] = [
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
]
TABLE: list[Row | Drop] = [
    *backbone("encoder"),
    *QUANTISER,
    *(
        Drop(row.source, "only version 2.5 decodes codes in this way")
        for row in backbone("decoder")
        if isinstance(row.source, str)
    ),
]
