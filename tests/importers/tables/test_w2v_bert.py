import json

import numpy as np
import pytest
import support

from importers.sizes import resolve
from importers.table import ImportMismatch, plan
from importers.tables import w2v_bert
from indextts_jax.config import SemanticEncoderConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import from_data


class Published:
    """A tensor of a published file of which only name, shape and dtype are known."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest():
    entries = json.loads((support.MANIFESTS / "w2v_bert.json").read_text(encoding="utf-8"))
    return {name: Published(entry["shape"], entry["dtype"]) for name, entry in entries.items()}


STATISTICS = ("mean", "var")


def expected():
    """What the model's file fills of the component, and what the statistics' file fills."""
    whole = structure("semantic_encoder", bundled_config("indextts2")).expected
    statistics = {key: whole[key] for key in STATISTICS}
    return {key: part for key, part in whole.items() if key not in STATISTICS}, statistics


def tiny_settings():
    path = support.CHECKPOINTS / "w2v-bert-2.0" / "config.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_published_file_fills_the_encoder():
    tensors = manifest()
    found = plan(w2v_bert.TABLE, tensors, expected()[0], file="model.safetensors")

    assert len(tensors) == 773
    assert len(found.read) == 4 + 17 * 32 == 548
    assert len(found.dropped) == 7 * 32 + 1 == 225
    layers = {int(name.split(".")[2]) for name in found.dropped if ".layers." in name}
    assert layers == set(range(17, 24))


def test_the_published_statistics_fill_the_rest():
    tensors = {"mean": Published([1024]), "var": Published([1024])}
    found = plan(w2v_bert.STATISTICS, tensors, expected()[1], file="wav2vec2bert_stats.pt")

    assert found.read == ("mean", "var")
    assert not found.dropped


@pytest.mark.parametrize(
    "stray",
    [
        "encoder.layers.17.ffn3_layer_norm.weight",
        "encoder.layers.17.conv_module.pointwise_conv1.bias",
        "encoder.layer_norm.weight",
        "adapter.layers.0.residual_conv.weight",
        "masked_spec_embed.weight",
    ],
)
def test_a_name_that_no_published_file_has_is_unexpected(stray):
    tensors = manifest() | {stray: Published([1024])}

    with pytest.raises(ImportMismatch, match=f"unexpected: {stray}"):
        plan(w2v_bert.TABLE, tensors, expected()[0], file="model.safetensors")


def test_a_layer_that_is_not_there_is_missing():
    tensors = {n: t for n, t in manifest().items() if not n.startswith("encoder.layers.16.")}

    with pytest.raises(ImportMismatch, match=r"missing: encoder\.layers\.16\.ffn1_"):
        plan(w2v_bert.TABLE, tensors, expected()[0], file="model.safetensors")


def test_the_sizes_of_the_tiny_set():
    values = resolve(w2v_bert.SIZES, tiny_settings(), {}, file="config.json")
    config = from_data(SemanticEncoderConfig, values)

    assert config == bundled_config("tiny").semantic_encoder


def test_the_defaults_of_transformers_are_the_published_sizes():
    transformers = pytest.importorskip("transformers")
    settings = transformers.Wav2Vec2BertConfig().to_dict()
    values = resolve(w2v_bert.SIZES, settings, {}, file="config.json")

    assert w2v_bert.check_settings(settings) == []
    assert from_data(SemanticEncoderConfig, values) == bundled_config("indextts2").semantic_encoder


def test_the_tiny_settings_are_all_implemented():
    assert w2v_bert.check_settings(tiny_settings()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("feature_projection_input_dim", 80),
        ("hidden_act", "gelu"),
        ("position_embeddings_type", "rotary"),
        ("position_embeddings_type", None),
        ("add_adapter", True),
        ("use_intermediate_ffn_before_adapter", True),
        ("num_hidden_layers", 16),
        ("hidden_size", "1024"),
        ("intermediate_size", 64.0),
        ("num_attention_heads", True),
        ("conv_depthwise_kernel_size", 0),
        ("left_max_position_embeddings", -1),
        ("layer_norm_eps", "1e-5"),
        ("layer_norm_eps", -1e-5),
    ],
)
def test_a_setting_that_is_not_implemented_is_named(key, value):
    problems = w2v_bert.check_settings(tiny_settings() | {key: value})

    assert len(problems) == 1
    assert problems[0].startswith(f"{key} is {value!r}")


def test_absent_settings_are_those_of_the_published_model():
    values = resolve(w2v_bert.SIZES, w2v_bert.completed({}), {}, file="config.json")

    assert w2v_bert.check_settings({}) == []
    assert from_data(SemanticEncoderConfig, values) == bundled_config("indextts2").semantic_encoder


def test_the_defaults_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    settings = transformers.Wav2Vec2BertConfig().to_dict()

    assert {key: settings[key] for key in w2v_bert.DEFAULTS} == w2v_bert.DEFAULTS


@pytest.mark.parametrize("key", w2v_bert.FEATURES)
def test_other_features_are_named(key):
    path = support.CHECKPOINTS / "w2v-bert-2.0" / "preprocessor_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    own = settings[key]

    assert w2v_bert.check_features({}) == w2v_bert.check_features(settings) == []
    assert w2v_bert.check_features(settings | {key: 7}) == [f"{key} is 7: only {own} is supported"]


@pytest.mark.parametrize("said", [23, 25])
def test_wrong_number_of_layers_names_both(said):
    assert w2v_bert.check_layers({"num_hidden_layers": 24}, manifest()) == []
    assert w2v_bert.check_layers({"num_hidden_layers": said}, manifest()) == [
        f"num_hidden_layers is {said}, but the file holds 24 encoder layers"
    ]


def test_missing_layer_is_reported():
    tensors = {n: t for n, t in manifest().items() if not n.startswith("encoder.layers.20.")}

    assert len(w2v_bert.check_layers({"num_hidden_layers": 23}, tensors)) == 1


def test_a_tensor_missing_past_the_layers_that_are_used_is_named():
    tensors = manifest()
    del tensors["encoder.layers.20.ffn1_layer_norm.bias"]

    assert w2v_bert.check_layers({}, tensors) == [
        "missing: encoder.layers.20.ffn1_layer_norm.bias (in a layer past those used)"
    ]


def test_silu_and_swish_are_equal():
    assert w2v_bert.check_settings(tiny_settings() | {"hidden_act": "silu"}) == []
