import copy
import functools
import json

import numpy as np
import pytest
import support
import yaml

from importers.sizes import resolve
from importers.table import Drop, ImportMismatch, flatten, plan, read
from importers.tables import gpt
from indextts_jax.config import ConditioningConfig, GPTConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import from_data

FILE = "gpt.pth"

# Of the published `config.yaml`, what this file needs.
PUBLISHED = {
    "gpt": {
        "model_dim": 1280,
        "max_mel_tokens": 1815,
        "max_text_tokens": 600,
        "heads": 20,
        "use_mel_codes_as_input": True,
        "layers": 24,
        "number_text_tokens": 12000,
        "number_mel_codes": 8194,
        "start_mel_token": 8192,
        "stop_mel_token": 8193,
        "start_text_token": 0,
        "stop_text_token": 1,
        "train_solo_embeddings": False,
        "condition_type": "conformer_perceiver",
        "condition_module": {
            "output_size": 512,
            "linear_units": 2048,
            "attention_heads": 8,
            "num_blocks": 6,
            "input_layer": "conv2d2",
            "perceiver_mult": 2,
        },
        "emo_condition_module": {
            "output_size": 512,
            "linear_units": 1024,
            "attention_heads": 4,
            "num_blocks": 4,
            "input_layer": "conv2d2",
            "perceiver_mult": 2,
        },
    },
    "semantic_codec": {"hidden_size": 1024},
}


class Published:
    """A tensor of a published file of which only name, shape and dtype are known."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


class Values(Published):
    """A tensor with values."""

    def __init__(self, array):
        super().__init__(array.shape, array.dtype)
        self.array = array

    def read(self):
        return self.array


@functools.cache
def manifest():
    entries = json.loads((support.MANIFESTS / "gpt.json").read_text(encoding="utf-8"))
    return {name: Published(entry["shape"], entry["dtype"]) for name, entry in entries.items()}


def expected(config):
    return {name: structure(name, config).expected for name in ("conditioning", "gpt")}


def resolved(tensors, config=None):
    config = config or bundled_config("indextts2")
    return plan(gpt.table(config), tensors, expected(config), file=FILE)


def aliases(layers, tensors):
    """The second names of the generation wrapper, spelt out: alias to own name."""
    names = {"gpt.wte.weight": "mel_embedding.weight"}
    names["inference_model.transformer.wte.weight"] = "mel_embedding.weight"
    names["inference_model.embeddings.weight"] = "mel_embedding.weight"
    names["inference_model.text_pos_embedding.emb.weight"] = "mel_pos_embedding.emb.weight"
    for end in ("weight", "bias"):
        names[f"inference_model.final_norm.{end}"] = f"final_norm.{end}"
        names[f"inference_model.lm_head.0.{end}"] = f"final_norm.{end}"
        names[f"inference_model.lm_head.1.{end}"] = f"mel_head.{end}"
        names[f"inference_model.transformer.ln_f.{end}"] = f"gpt.ln_f.{end}"
        for layer in range(layers):
            for part in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"):
                own = f"h.{layer}.{part}.{end}"
                names[f"inference_model.transformer.{own}"] = f"gpt.{own}"
    return {alias: (own, tensors[own]) for alias, own in names.items()}


def test_the_published_file_fills_both_components():
    tensors = manifest()
    found = resolved(tensors)

    assert len(tensors) == 665
    assert len(found.read) == 663
    assert set(found.dropped) == {"text_head.weight", "text_head.bias"}
    assert not found.copies


def test_every_parameter_of_the_published_model_is_counted():
    leaves = flatten(expected(bundled_config("indextts2"))).values()

    # Of the specification's 871,100,639 numbers all but those of the text head.
    assert sum(leaf.size for leaf in leaves) == 871_100_639 - 15_373_281


def test_a_missing_and_a_stray_tensor_are_named_together():
    tensors = dict(manifest())
    tensors["gpt.ln_f.weigth"] = tensors.pop("gpt.ln_f.weight")
    with pytest.raises(ImportMismatch) as caught:
        resolved(tensors)

    assert len(caught.value.problems) == 2
    assert "missing: gpt.ln_f.weight (for gpt.trunk_norm.scale)" in str(caught.value)
    assert "unexpected: gpt.ln_f.weigth" in str(caught.value)


@pytest.mark.parametrize(
    "stray",
    [
        "conditioning_encoder.encoders.6.norm_ff.weight",
        "emo_perceiver_encoder.layers.2.0.to_q.weight",
        "gpt.h.24.ln_1.weight",
        "gpt.h.24.attn.bias",
        "gpt.h.0.attn.c_attn.base_layer.weight",
        "inference_model.transformer.h.0.attn.c_attn.lora_A.weight",
        "inference_model.lm_head.2.weight",
        "mel_solo_embedding",
        "spk_emb_proj.weight",
    ],
)
def test_a_name_that_no_published_file_has_is_unexpected(stray):
    with pytest.raises(ImportMismatch, match=f"unexpected: {stray}"):
        resolved(manifest() | {stray: Published([1280])})


def test_a_tensor_of_another_size_is_misshapen():
    tensors = manifest() | {"conditioning_encoder.embed.out.0.weight": Published([512, 261120])}
    with pytest.raises(ImportMismatch, match=r"checkpoint \(261120, 512\).*model \(261632, 512\)"):
        resolved(tensors)


def test_copies_of_the_generation_wrapper_are_dropped():
    second = aliases(24, manifest())
    found = resolved(manifest() | {alias: tensor for alias, (_, tensor) in second.items()})

    assert len(second) == 300
    assert found.copies == {alias: own for alias, (own, _) in second.items()}
    assert len(found.read) == 663


def test_the_buffers_of_old_versions_are_dropped():
    buffers = {
        f"{trunk}.h.{layer}.attn.{name}": Published(shape)
        for trunk in ("gpt", "inference_model.transformer")
        for layer in range(24)
        for name, shape in (("bias", [1, 1, 2420, 2420]), ("masked_bias", []))
    }
    found = resolved(manifest() | buffers | {"gpt.wpe.weight": Published([2420, 1280])})

    assert len(found.dropped) == 2 + 96 + 1
    assert len(found.copies) == 48


@pytest.mark.parametrize("alias", ["inference_model.lm_head.1.weight", "gpt.wte.weight"])
def test_a_copy_is_accepted_and_one_that_differs_is_refused(alias):
    config = bundled_config("tiny")
    rows = gpt.table(config)
    own = next(r.same_as for r in rows if isinstance(r, Drop) and r.source == alias)
    target = "gpt.code_head.kernel" if "head" in alias else "gpt.code_embedding.embedding"
    component, module, leaf = target.split(".")
    tree = {component: {module: {leaf: expected(config)[component][module][leaf]}}}
    kept = [r for r in rows if isinstance(r, Drop) or r.target == target]
    shape = (config.gpt.code_vocabulary, config.gpt.width)
    original = Values(np.random.default_rng(0).normal(size=shape).astype(np.float32))

    def run(copied):
        tensors = {own: original, alias: Values(copied)}
        return read(plan(kept, tensors, tree, file=FILE), tensors, tree, file=FILE)

    filled = run(original.array.copy())[component][module][leaf]
    np.testing.assert_array_equal(filled, original.array.T if "head" in alias else original.array)
    changed = original.array.copy()
    changed[-1, -1] += 1
    with pytest.raises(ImportMismatch, match=f"{alias} should be a copy of {own}, but differs"):
        run(changed)


def test_the_sizes_of_the_published_model():
    config = bundled_config("indextts2")

    assert component(PUBLISHED, manifest(), "conditioning") == config.conditioning
    assert component(PUBLISHED, manifest(), "gpt") == config.gpt


def test_the_sizes_of_the_tiny_set():
    settings = yaml.safe_load((support.CHECKPOINTS / "config.yaml").read_text(encoding="utf-8"))
    shapes = {
        "emo_perceiver_encoder.latents": [1, 32],
        "emo_perceiver_encoder.layers.0.1.2.weight": [32, 42],
        "perceiver_encoder.latents": [32, 64],
        "speed_emb.weight": [2, 64],
    }
    for encoder in ("conditioning_encoder", "emo_conditioning_encoder"):
        shapes[f"{encoder}.encoders.0.conv_module.depthwise_conv.weight"] = [32, 1, 15]
        shapes[f"{encoder}.embed.pos_enc.pe"] = [1, 5000, 32]
    tensors = {name: Published(shape) for name, shape in shapes.items()}
    config = bundled_config("tiny")

    assert component(settings, tensors, "conditioning") == config.conditioning
    assert component(settings, tensors, "gpt") == config.gpt


def component(settings, tensors, name):
    values = resolve(gpt.SIZES[name], settings, tensors, file=FILE)
    nested = {}
    for path, value in values.items():
        *parents, leaf = path.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = value
    return from_data({"conditioning": ConditioningConfig, "gpt": GPTConfig}[name], nested)


def test_more_conditioning_inputs_are_more_code_positions():
    settings = copy.deepcopy(PUBLISHED)
    settings["gpt"]["max_conditioning_inputs"] = 3

    assert component(settings, manifest(), "gpt").code_positions == 1815 + 2 + 3


def test_the_published_settings_are_supported():
    assert gpt.check_settings(PUBLISHED) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gpt.condition_type", "gst"),
        ("gpt.use_mel_codes_as_input", False),
        ("gpt.train_solo_embeddings", True),
        ("gpt.condition_module.input_layer", "conv2d"),
        ("gpt.emo_condition_module.input_layer", "linear"),
        ("gpt.heads", 19),
        ("gpt.condition_module.attention_heads", 7),
        ("gpt.emo_condition_module.attention_heads", 0),
    ],
)
def test_a_setting_that_is_not_implemented_is_named(key, value):
    settings = copy.deepcopy(PUBLISHED)
    inner = settings
    *parents, leaf = key.split(".")
    for parent in parents:
        inner = inner[parent]
    inner[leaf] = value

    (problem,) = gpt.check_settings(settings)
    assert key in problem
    assert str(value) in problem


def test_the_input_projection_has_the_channel_running_fastest():
    width, features = 3, 5
    weight = np.arange(width * width * features).reshape(width, width * features)
    kernel = gpt.input_projection(weight)

    assert kernel.shape == (features * width, width)
    for out in range(width):
        for channel in range(width):
            for feature in range(features):
                theirs = weight[out, channel * features + feature]
                assert kernel[feature * width + channel, out] == theirs
