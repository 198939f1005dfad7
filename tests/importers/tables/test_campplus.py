import json

import numpy as np
import pytest
import support

from importers.sizes import resolve
from importers.table import Drop, ImportMismatch, Row, plan
from importers.tables import campplus
from indextts_jax.config import StyleEncoderConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import from_data

SETTINGS = {"s2mel": {"style_encoder": {"dim": 192}}}


class Published:
    """A tensor of a published file of which only name, shape and dtype are known."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest():
    entries = json.loads((support.MANIFESTS / "campplus.json").read_text(encoding="utf-8"))
    return {name: Published(entry["shape"], entry["dtype"]) for name, entry in entries.items()}


def resolved(tensors):
    expected = structure("style_encoder", bundled_config("indextts2")).expected
    return plan(campplus.TABLE, tensors, expected, file="campplus_cn_common.bin")


def test_the_published_file_fills_the_component():
    tensors = manifest()
    found = resolved(tensors)

    assert len(tensors) == 937
    assert len(found.read) == 815
    assert len(found.dropped) == 122
    assert all(name.endswith(".num_batches_tracked") for name in found.dropped)


def test_every_drop_is_of_the_published_file():
    drops = {drop.source for drop in campplus.TABLE if isinstance(drop, Drop)}

    assert drops == {name for name in manifest() if name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    "stray",
    [
        "head.bn3.num_batches_tracked",
        "head.layer1.1.shortcut.1.num_batches_tracked",
        "xvector.block1.tdnnd13.nonlinear1.batchnorm.num_batches_tracked",
        "xvector.block4.tdnnd1.linear1.weight",
        "xvector.dense.nonlinear.batchnorm.weight",
        "xvector.tdnn.linear.bias",
    ],
)
def test_a_name_that_no_published_file_has_is_unexpected(stray):
    with pytest.raises(ImportMismatch, match=f"unexpected: {stray}"):
        resolved(manifest() | {stray: Published([128])})


def test_a_missing_statistic_is_named():
    tensors = manifest()
    del tensors["xvector.block2.tdnnd24.nonlinear2.batchnorm.running_var"]

    with pytest.raises(ImportMismatch, match=r"missing: xvector\.block2\.tdnnd24\.nonlinear2"):
        resolved(tensors)


def test_a_tensor_that_disagrees_with_the_sizes_is_named():
    tensors = manifest() | {"xvector.dense.linear.weight": Published([193, 1024, 1])}

    with pytest.raises(ImportMismatch, match=r"shape of style\.kernel: checkpoint \(1024, 193\)"):
        resolved(tensors)


def test_the_sizes_of_the_published_model():
    values = resolve(campplus.SIZES, SETTINGS, manifest(), file="campplus_cn_common.bin")

    assert from_data(StyleEncoderConfig, values) == bundled_config("indextts2").style_encoder


def test_the_sizes_of_the_tiny_set():
    assert support.tiny_config().style_encoder == bundled_config("tiny").style_encoder


def test_a_kernel_of_the_head_has_bands_before_time():
    weight = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)  # out, in, bands, time
    row = next(
        row
        for row in campplus.TABLE
        if isinstance(row, Row) and row.target == "image.conv_in.kernel"
    )
    kernel = row.transform(weight)

    assert kernel.shape == (5, 7, 3, 2)
    assert kernel[4, 2, 1, 0] == weight[0, 1, 4, 2]
