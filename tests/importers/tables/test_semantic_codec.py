import json

import numpy as np
import pytest
import support
import yaml

from importers.sizes import resolve
from importers.table import ImportMismatch, plan
from importers.tables import semantic_codec
from indextts_jax.config import SemanticCodecConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import from_data


class Published:
    """A tensor of a published file of which only name, shape and dtype are known."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest():
    entries = json.loads((support.MANIFESTS / "semantic_codec.json").read_text(encoding="utf-8"))
    return {name: Published(entry["shape"], entry["dtype"]) for name, entry in entries.items()}


def resolved(tensors):
    expected = structure("semantic_codec", bundled_config("indextts2")).expected
    return plan(semantic_codec.TABLE, tensors, expected, file="model.safetensors")


def test_the_published_file_fills_the_component():
    tensors = manifest()
    found = resolved(tensors)

    assert len(tensors) == 239
    assert len(found.read) == 8 + 12 * 9 + 7 == 123
    assert len(found.dropped) == 8 + 12 * 9 == 116
    assert set(found.dropped) == {name for name in tensors if name.startswith("decoder.")}


@pytest.mark.parametrize("held", ["new", "folded"])
def test_new_and_folded_weight_norm_are_accepted(held):
    tensors = manifest()
    for side in ("in_project", "out_project"):
        prefix = f"quantizer.quantizers.0.{side}"
        g, v = tensors.pop(f"{prefix}.weight_g"), tensors.pop(f"{prefix}.weight_v")
        if held == "new":
            tensors[f"{prefix}.parametrizations.weight.original0"] = g
            tensors[f"{prefix}.parametrizations.weight.original1"] = v
        else:
            tensors[f"{prefix}.weight"] = v

    assert len(resolved(tensors).read) == (123 if held == "new" else 121)


@pytest.mark.parametrize(
    "stray",
    [
        "down.weight",
        "up.bias",
        "decoder.2.weight",
        "decoder.0.convnext.0.scale",
        "encoder.0.convnext.12.gamma",
        "quantizer.quantizers.1.codebook.weight",
    ],
)
def test_a_name_that_no_published_file_has_is_unexpected(stray):
    with pytest.raises(ImportMismatch, match=f"unexpected: {stray}"):
        resolved(manifest() | {stray: Published([384])})


def test_the_sizes_of_the_published_model():
    settings = {
        "semantic_codec": {
            "codebook_size": 8192,
            "hidden_size": 1024,
            "codebook_dim": 8,
            "vocos_dim": 384,
            "vocos_intermediate_dim": 2048,
            "vocos_num_layers": 12,
        }
    }
    values = resolve(semantic_codec.SIZES, settings, manifest(), file="model.safetensors")

    assert from_data(SemanticCodecConfig, values) == bundled_config("indextts2").semantic_codec


def test_the_sizes_of_the_tiny_set():
    settings = yaml.safe_load((support.CHECKPOINTS / "config.yaml").read_text(encoding="utf-8"))
    tensors = {"encoder.0.embed.weight": Published([24, 32, 7])}
    values = resolve(semantic_codec.SIZES, settings, tensors, file="model.safetensors")

    assert from_data(SemanticCodecConfig, values) == bundled_config("tiny").semantic_codec
