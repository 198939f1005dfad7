"""The folder of the text-to-emotion model: what is read of it, and all that it is refused for."""

import json
import math
import shutil

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from importers.formats.tensors import SourceError
from importers.table import ImportMismatch, flatten, plan
from importers.tables import qwen
from importers.text_emotion import (
    FILE,
    INDEX,
    TextEmotionImporter,
    check_template,
    find_folder,
    render,
)
from indextts_jax.config import bundled_config
from indextts_jax.emotion.prompt import prompt_of
from indextts_jax.models.components import structure

FOLDERS = support.DATA / "qwen"


class Shape:
    """An array of the manifest, without numbers."""

    def __init__(self, shape):
        self.shape = tuple(shape)
        self.dtype = np.dtype(np.float32)


def manifest():
    data = json.loads((support.MANIFESTS / "qwen_emotion.json").read_text())
    return {name: Shape(entry["shape"]) for name, entry in data.items()}


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDERS / "tiny", tmp_path / "qwen0.6bemo4-merge")


def rewrite(folder, name, **changes):
    path = folder / name
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: v for key, v in data.items() if v is not ...}))


def refused(folder, **options):
    with pytest.raises((ImportMismatch, SourceError)) as error:
        TextEmotionImporter.open(folder, **options)
    return str(error.value)


def test_the_published_arrays_fill_the_published_model():
    expected = structure("text_emotion", bundled_config("indextts2")).expected
    found = plan(qwen.TABLE, manifest(), expected, file="model.safetensors")
    assert len(found.read) == 310
    assert not found.dropped
    leaves = flatten(expected).values()
    assert sum(math.prod(leaf.shape) for leaf in leaves) == 596_049_920


def test_a_head_that_is_published_all_the_same_is_dropped():
    tensors = manifest() | {"lm_head.weight": Shape((151936, 1024))}
    expected = structure("text_emotion", bundled_config("indextts2")).expected
    found = plan(qwen.TABLE, tensors, expected, file="model.safetensors")
    assert found.copies == {"lm_head.weight": "model.embed_tokens.weight"}


def test_the_tiny_folder_gives_the_tiny_configuration():
    assert TextEmotionImporter.open(FOLDERS / "tiny").config == bundled_config("tiny").text_emotion


def test_the_published_settings_give_the_published_configuration():
    settings = {
        "vocab_size": 151936,
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000,
        "eos_token_id": 151645,
        "model_type": "qwen3",
        "sliding_window": None,
    }
    whole = qwen.completed(settings, {"eos_token_id": 151643})
    assert qwen.check_settings(whole) == []
    section = bundled_config("indextts2").text_emotion
    for name, size in qwen.SIZES.items():
        value = size.then(whole[size.key])
        assert (tuple(value) if name == "stops" else value) == getattr(section, name), name
    assert (section.reply_tokens, section.buckets) == (qwen.REPLY_TOKENS, qwen.BUCKETS)


def test_the_newer_spelling_and_shards_are_read(tmp_path):
    second = TextEmotionImporter.open(FOLDERS / "second")
    assert second.config.rotary_base == 10_000
    assert (second.config.layers, second.config.key_heads) == (3, 2)
    assert [path.name for path in second.files if "model" in path.name] == [
        INDEX,
        *(f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)),
    ]
    params = second.read()
    assert params["embedding"]["embedding"].shape == (448, 36)


REFUSED = {
    "rope_scaling": {"rope_type": "yarn", "factor": 4.0},
    "rope_parameters": {"rope_theta": 1e6, "rope_type": "linear", "factor": 2.0},
    "sliding_window": 4096,
    "use_sliding_window": True,
    "attention_bias": True,
    "hidden_act": "gelu",
    "layer_types": ["full_attention", "sliding_attention"],
    "model_type": "qwen2",
    "quantization_config": {"bits": 4},
    "num_hidden_layers": 3,
    "hidden_size": "40",
    "head_dim": 1,
    "rms_norm_eps": None,
    "rope_theta": ...,  # taken out
    "tie_word_embeddings": False,
    "eos_token_id": None,
}


@pytest.mark.parametrize("key", REFUSED)
def test_a_setting_that_is_not_computed_is_refused_by_name(folder, key):
    if key == "eos_token_id":
        rewrite(folder, "generation_config.json", eos_token_id=...)
    rewrite(folder, "config.json", **{key: REFUSED[key]})
    assert key in refused(folder)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=9),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(value=PLAIN)
@pytest.mark.parametrize("key", [*qwen.IMPLEMENTED, *qwen.GREEDY])
def test_only_supported_values_are_accepted(key, value):
    known, check = (
        (qwen.IMPLEMENTED[key], qwen.check_settings)
        if key in qwen.IMPLEMENTED
        else (qwen.GREEDY[key], qwen.check_generation)
    )
    told = [problem for problem in check({key: value}) if problem.startswith(f"{key} is ")]
    assert bool(told) == (value not in known)


def test_replies_that_are_not_the_likeliest_are_refused_by_name(folder):
    rewrite(folder, "generation_config.json", do_sample=True, num_beams=4)
    told = refused(folder)
    assert "generation_config.json: do_sample is True" in told
    assert "generation_config.json: num_beams is 4" in told


def test_keys_that_change_nothing_are_passed_over(folder):
    rewrite(folder, "config.json", novelty=1, torch_dtype="float16", architectures=["Qwen3Model"])
    rewrite(folder, "generation_config.json", novelty=2, disable_compile=True, top_k=20)
    opened = TextEmotionImporter.open(folder)
    assert opened.config == bundled_config("tiny").text_emotion
    assert opened.ignored == ()


def test_two_rotary_bases_are_refused(folder):
    rewrite(folder, "config.json", rope_parameters={"rope_theta": 5.0, "rope_type": "default"})
    assert "rope_theta is 1000000.0, but 5.0 in rope_parameters" in refused(folder)


def test_numbers_for_draws_change_nothing_where_nothing_is_drawn(folder):
    rewrite(folder, "generation_config.json", temperature=0.6, top_k=20, do_sample=False)
    assert TextEmotionImporter.open(folder).config == bundled_config("tiny").text_emotion


def test_several_stop_tokens_are_kept(folder):
    rewrite(folder, "generation_config.json", eos_token_id=[400, 402])
    assert TextEmotionImporter.open(folder).config.stops == (400, 402)


def test_a_key_may_be_passed_over(folder):
    rewrite(folder, "config.json", sliding_window=4096)
    assert "config.json: sliding_window is 4096" in refused(folder)
    opened = TextEmotionImporter.open(folder, ignore=["text_emotion.sliding_window"])
    assert opened.ignored == ("text_emotion.sliding_window",)
    assert "--ignore text_emotion.other" in refused(folder, ignore=["text_emotion.other"])


def test_sampling_settings_can_be_ignored(folder):
    rewrite(folder, "generation_config.json", do_sample=True)
    opened = TextEmotionImporter.open(folder, ignore=["text_emotion.do_sample"])
    assert opened.ignored == ("text_emotion.do_sample",)


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_that_equals_the_embedding_is_accepted(folder, tied):
    path = folder / "model.safetensors"
    arrays = load_file(path)
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"].copy()
    save_file(arrays, path)
    rewrite(folder, "config.json", tie_word_embeddings=tied)
    opened = TextEmotionImporter.open(folder)
    assert list(opened.plan.dropped) == ["lm_head.weight"]
    opened.read()


def test_another_head_is_refused(folder):
    path = folder / "model.safetensors"
    arrays = load_file(path)
    head = arrays["model.embed_tokens.weight"].copy()
    head[7, 3] += 1
    save_file(arrays | {"lm_head.weight": head}, path)
    with pytest.raises(ImportMismatch, match=r"lm_head.weight should be a copy of model.embed"):
        TextEmotionImporter.open(folder).read()


def test_arrays_of_another_model_are_named(folder):
    path = folder / "model.safetensors"
    arrays = load_file(path)
    arrays["model.layers.1.self_attn.q_proj.bias"] = np.zeros(48, np.float32)
    del arrays["model.layers.0.self_attn.q_norm.weight"]
    save_file(arrays, path)
    told = refused(folder)
    assert "unexpected: model.layers.1.self_attn.q_proj.bias" in told
    assert "missing: model.layers.0.self_attn.q_norm.weight" in told


def test_values_are_those_of_the_file():
    arrays = load_file(FOLDERS / "tiny" / "model.safetensors")
    params = TextEmotionImporter.open(FOLDERS / "tiny").read()
    ours = params["blocks"]["attention"]["key"]["kernel"][1]
    theirs = arrays["model.layers.1.self_attn.k_proj.weight"].astype(np.float32).T
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == np.float32


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["weight_map"].pop("model.norm.weight"),
        lambda index: index["weight_map"].update(
            {"model.extra": "model-00001-of-00003.safetensors"}
        ),
        lambda index: index["weight_map"].update({"model.extra": "../other.safetensors"}),
        lambda index: index["weight_map"].update({"model.extra": "absent.safetensors"}),
        lambda index: index.pop("weight_map"),
    ],
)
def test_wrong_index_is_rejected(tmp_path, change):
    copy = shutil.copytree(FOLDERS / "second", tmp_path / "second")
    index = json.loads((copy / INDEX).read_text())
    change(index)
    (copy / INDEX).write_text(json.dumps(index))
    told = refused(copy)
    assert INDEX in told or "absent.safetensors" in told


@pytest.mark.parametrize(
    "name",
    ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"],
)
def test_missing_file_is_reported_with_the_download_command(folder, name):
    (folder / name).unlink()
    told = refused(folder)
    assert f"lacks {name}" in told
    assert "python -m indextts_jax.download" in told


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}", "the template gives"),
        ("{{ messages[5]['content'] }}", "cannot be rendered"),
        ("{% if %}", "cannot be rendered"),
        ("{{ raise_exception('no') }}", "cannot be rendered"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "cannot be rendered"),
    ],
)
def test_another_template_is_refused(folder, template, reason):
    (folder / FILE).write_text(template)
    told = refused(folder)
    assert "chat template: " in told
    assert reason in told


def test_a_template_that_trims_the_text_is_refused():
    trimming = (
        (FOLDERS / "tiny" / FILE).read_text().replace("turn['content']", "turn['content']|trim")
    )
    assert "the template gives" in check_template(trimming, {})[0]


def test_template_may_use_special_tokens():
    template = (
        "System: {{ messages[0]['content'] }}{{ eos_token }}{{ '\\n' }}"
        "Human: {{ messages[1]['content'] }}{{ eos_token }}{{ '\\n' }}Assistant:"
    )
    settings = {"eos_token": {"content": "<|endoftext|>"}}
    assert check_template(template, settings) == []
    assert render(template, "a", settings) == prompt_of("a")


def test_template_may_be_in_tokenizer_settings(folder):
    template = (folder / FILE).read_text()
    (folder / FILE).unlink()
    rewrite(
        folder, "tokenizer_config.json", chat_template=[{"name": "default", "template": template}]
    )
    assert TextEmotionImporter.open(folder).notes == ()
    rewrite(folder, "tokenizer_config.json", chat_template="Hello")
    assert "the template gives 'Hello'" in refused(folder)


def test_built_in_template_is_used_with_a_note(folder):
    (folder / FILE).unlink()
    (note,) = TextEmotionImporter.open(folder).notes
    assert "no chat template" in note


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split_special_tokens": True}, "split_special_tokens is True"),
        ({"add_bos_token": True}, "add_bos_token is True"),
        ({"added_tokens_decoder": {"444": {"content": "<x>"}}}, "'<x>' is token '444'"),
    ],
)
def test_settings_that_give_other_tokens_are_refused(folder, changes, reason):
    rewrite(folder, "tokenizer_config.json", **changes)
    assert reason in refused(folder)


def test_invalid_tokenizer_is_rejected(folder):
    (folder / "tokenizer.json").write_text("{}")
    assert "tokenizer.json: not a tokenizer" in refused(folder)


def test_tokenizer_without_prompt_end_is_rejected(folder):
    data = json.loads((folder / "tokenizer.json").read_text())
    data["added_tokens"] = [t for t in data["added_tokens"] if t["content"] != "<|endoftext|>"]
    (folder / "tokenizer.json").write_text(json.dumps(data))
    assert "no special token <|endoftext|>" in refused(folder)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder):
    rewrite(folder, "config.json", vocab_size=402)
    assert "405 tokens, but vocab_size is 402" in refused(folder)


def test_directory_is_found_by_flag_by_name_and_by_itself(folder, tmp_path):
    assert find_folder(tmp_path, None, None) == folder
    assert find_folder(folder, None, None) == folder
    assert find_folder(tmp_path / "x", str(folder), None) == folder
    other = folder.rename(tmp_path / "renamed")
    assert find_folder(tmp_path, None, "renamed/") == other
    assert find_folder(tmp_path, None, None) is None
    with pytest.raises(SourceError, match="directory not found"):
        find_folder(tmp_path, str(tmp_path / "x"), None)
