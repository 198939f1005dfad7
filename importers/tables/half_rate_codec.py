"""codec.pth of version 2.5, encoder, quantiser and decoder, into the component `semantic_codec`."""

from collections.abc import Mapping
from typing import Any

from importers.sizes import Axis, Setting, Size
from importers.table import Drop, Row
from importers.tables import semantic_codec
from importers.tables.semantic_codec import QUANTISER, backbone
from importers.transforms import conv1d

SIZES: dict[str, Size] = {
    **semantic_codec.SIZES,
    "features_per_code": Setting("semantic_codec.downsample_scale"),
    "resampling_kernel": Axis("up.weight", 2),
}
TABLE: list[Row | Drop] = [
    Row("down.kernel", "down.weight", conv1d),
    Row("down.bias", "down.bias"),
    *backbone("encoder", "encoder."),
    *QUANTISER,
    *backbone("decoder", "decoder."),
    Row("up.kernel", "up.weight", conv1d),
    Row("up.bias", "up.bias"),
]


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """Published settings that this program does not support, by key.

    The reference cannot decode with another scale either: it never assigns the result.
    """
    wanted = {"downsample_scale": 2, "num_quantizers": 1}
    return [
        f"semantic_codec.{key} is {given!r}; only {supported} is supported"
        for key, supported in wanted.items()
        if (given := settings["semantic_codec"][key]) != supported
    ]
