"""CAMPPlus, `campplus_cn_common.bin`, into the component `style_encoder`."""

from importers.sizes import Axis, Fixed, Setting, Size
from importers.table import Drop, Row
from importers.transforms import conv1d, conv2d, pointwise

LAYERS = (12, 24, 16)  # dense layers of each block; stated in no file
_LAYER = "xvector.block1.tdnnd1"

SIZES: dict[str, Size] = {
    "mels": Fixed(80, "the pipeline's filter banks have 80 bands"),
    "head_width": Axis("head.conv1.weight", 0),
    "width": Axis("xvector.tdnn.linear.weight", 0),
    "growth": Axis(f"{_LAYER}.cam_layer.linear_local.weight", 0),
    "bottleneck": Axis(f"{_LAYER}.linear1.weight", 0),
    "mask_width": Axis(f"{_LAYER}.cam_layer.linear1.weight", 0),
    "layers": Fixed(LAYERS, "the class CAMPPlus"),
    "dilations": Fixed((1, 2, 2), "the class CAMPPlus"),
    "kernel": Axis(f"{_LAYER}.cam_layer.linear_local.weight", 2),
    "segment": Fixed(100, "the class CAMLayer"),
    "style": Setting("s2mel.style_encoder.dim"),
}


def _norm(target: str, source: str, *, affine: bool = True) -> list[Row]:
    """The rows of a batch normalisation: statistics, and scale and bias if it is affine."""
    pairs = [("mean", "running_mean"), ("var", "running_var")]
    if affine:
        pairs += [("scale", "weight"), ("bias", "bias")]
    return [Row(f"{target}.{ours}", f"{source}.{theirs}") for ours, theirs in pairs]


def _residual_block(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.conv_first.kernel", f"{source}.conv1.weight", conv2d),
        *_norm(f"{target}.norm_first", f"{source}.bn1"),
        Row(f"{target}.conv_second.kernel", f"{source}.conv2.weight", conv2d),
        *_norm(f"{target}.norm_second", f"{source}.bn2"),
    ]


def _counters() -> list[Drop]:
    """The step counters of the batch normalisations, by exact name."""
    norms = ["head.bn1", "head.bn2"]
    for stage in (1, 2):
        norms += [f"head.layer{stage}.{block}.bn{n}" for block in (0, 1) for n in (1, 2)]
        norms.append(f"head.layer{stage}.0.shortcut.1")
    norms += [f"xvector.{name}.batchnorm" for name in ("tdnn.nonlinear", "out_nonlinear")]
    for block, layers in enumerate(LAYERS, start=1):
        dense = [f"xvector.block{block}.tdnnd{layer + 1}" for layer in range(layers)]
        norms += [f"{layer}.nonlinear{n}.batchnorm" for layer in dense for n in (1, 2)]
        norms.append(f"xvector.transit{block}.nonlinear.batchnorm")
    norms.append("xvector.dense.nonlinear.batchnorm")
    return [Drop(f"{norm}.num_batches_tracked", "counts training steps") for norm in norms]


_DENSE = "xvector.block{block+1}.tdnnd{layer+1}"
_TRANSIT = "xvector.transit{block+1}"

TABLE: list[Row | Drop] = [
    Row("image.conv_in.kernel", "head.conv1.weight", conv2d),
    *_norm("image.norm_in", "head.bn1"),
    *_residual_block("image.down.{stage}", "head.layer{stage+1}.0"),
    Row("image.down.{stage}.shortcut.kernel", "head.layer{stage+1}.0.shortcut.0.weight", conv2d),
    *_norm("image.down.{stage}.norm_shortcut", "head.layer{stage+1}.0.shortcut.1"),
    *_residual_block("image.same.{stage}", "head.layer{stage+1}.1"),
    Row("image.conv_out.kernel", "head.conv2.weight", conv2d),
    *_norm("image.norm_out", "head.bn2"),
    Row("entry.kernel", "xvector.tdnn.linear.weight", conv1d),
    *_norm("norm_entry", "xvector.tdnn.nonlinear.batchnorm"),
    *_norm("blocks.{block}.layers.{layer}.norm_first", f"{_DENSE}.nonlinear1.batchnorm"),
    Row("blocks.{block}.layers.{layer}.bottleneck.kernel", f"{_DENSE}.linear1.weight", pointwise),
    *_norm("blocks.{block}.layers.{layer}.norm_second", f"{_DENSE}.nonlinear2.batchnorm"),
    Row(
        "blocks.{block}.layers.{layer}.context.local.kernel",
        f"{_DENSE}.cam_layer.linear_local.weight",
        conv1d,
    ),
    Row(
        "blocks.{block}.layers.{layer}.context.fc_in.kernel",
        f"{_DENSE}.cam_layer.linear1.weight",
        pointwise,
    ),
    Row("blocks.{block}.layers.{layer}.context.fc_in.bias", f"{_DENSE}.cam_layer.linear1.bias"),
    Row(
        "blocks.{block}.layers.{layer}.context.fc_out.kernel",
        f"{_DENSE}.cam_layer.linear2.weight",
        pointwise,
    ),
    Row("blocks.{block}.layers.{layer}.context.fc_out.bias", f"{_DENSE}.cam_layer.linear2.bias"),
    *_norm("blocks.{block}.norm", f"{_TRANSIT}.nonlinear.batchnorm"),
    Row("blocks.{block}.transit.kernel", f"{_TRANSIT}.linear.weight", pointwise),
    *_norm("norm_out", "xvector.out_nonlinear.batchnorm"),
    Row("style.kernel", "xvector.dense.linear.weight", pointwise),
    *_norm("norm_style", "xvector.dense.nonlinear.batchnorm", affine=False),
    *_counters(),
]
