"""Our own configuration: strict reading, the files that come with the package."""

import dataclasses
import shutil
import tomllib
from pathlib import Path

import pytest
import support
import yaml

from indextts_jax import config
from indextts_jax.config import (
    BucketConfig,
    GPTConfig,
    ModelConfig,
    VocoderConfig,
    bundled_config,
    load_config,
)
from indextts_jax.errors import InputError
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

ROOT = Path(__file__).parents[2]
NAMES = ("indextts2", "indextts2_5", "mini", "tiny")


def tiny():
    return to_data(bundled_config("tiny"))


def leaves(data, prefix=""):
    paths = []
    for key, value in data.items():
        paths += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return paths


def section(data, path):
    *parents, last = path.split(".")
    for key in parents:
        data = data[key]
    return data, last


def changed(path, value):
    data = tiny()
    place, key = section(data, path)
    place[key] = value
    return data


def refused(data, match):
    with pytest.raises(ConfigError, match=match):
        from_data(ModelConfig, data)


def test_the_wheel_takes_in_the_configurations_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"configs": "indextts_jax/configs"}
    found = {path.name for path in (ROOT / "configs").glob("*.yaml")}
    assert found == {f"{n}.yaml" for n in NAMES}
    assert not (ROOT / "indextts_jax" / "configs").exists()


@pytest.mark.parametrize("place", ["site/indextts_jax/configs", "site/configs"])
def test_a_configuration_is_read_inside_the_package_or_beside_it(tmp_path, monkeypatch, place):
    shutil.copytree(ROOT / "configs", tmp_path / place)
    monkeypatch.setattr(config, "__file__", str(tmp_path / "site" / "indextts_jax" / "config.py"))
    assert bundled_config("tiny") == load_config(ROOT / "configs" / "tiny.yaml")


def test_the_tiny_configuration_is_what_importing_the_tiny_set_gives():
    # The set has no text-to-emotion model; `importers/test_qwen.py` has one.
    assert dataclasses.replace(bundled_config("tiny"), text_emotion=None) == support.tiny_config()


@pytest.mark.parametrize("name", NAMES)
def test_data_and_configuration_are_inverse(name):
    config = bundled_config(name)
    assert from_data(ModelConfig, to_data(config)) == config
    assert from_data(ModelConfig, yaml.safe_load(yaml.safe_dump(to_data(config)))) == config


def test_a_configuration_is_hashable_and_frozen():
    config = bundled_config("tiny")
    assert hash(config) == hash(bundled_config("tiny"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.gpt.width = 3


@pytest.mark.parametrize("path", leaves(tiny()))
def test_a_missing_key_is_named(path):
    data = tiny()
    place, key = section(data, path)
    del place[key]
    refused(data, rf"^missing key {path}$")


@pytest.mark.parametrize("path", leaves(to_data(bundled_config("tiny"))))
def test_an_ill_typed_key_is_named(path):
    refused(changed(path, {"a": 1}), rf"^{path}: expected [\w ]+, got dict {{'a': 1}}$")


@pytest.mark.parametrize("path", ["extra", "gpt.extra", "conditioning.speaker_encoder.extra"])
def test_an_unknown_key_is_named(path):
    refused(changed(path, 1), rf"^unknown key {path}$")


def test_all_problems_are_reported_at_once():
    data = changed("gpt.extra", 1) | {"more": 2}
    del data["dit"]["heads"]
    data["vocoder"]["rates"] = [4, "4"]
    refused(
        data,
        r"unknown key more; unknown key gpt\.extra; missing key dit\.heads; "
        r"vocoder\.rates\[1\]: expected int, got str '4'",
    )


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("gpt.width", True, "gpt.width: expected int, got bool True"),
        ("gpt.width", 64.0, "gpt.width: expected int, got float 64.0"),
        ("vocoder.log_scale", 1, "vocoder.log_scale: expected bool, got int 1"),
        ("version", None, "version: expected str, got NoneType None"),
        ("style_encoder.layers", 32, "style_encoder.layers: expected a list, got int 32"),
        ("gpt", None, "gpt: expected a mapping, got NoneType None"),
    ],
)
def test_types_are_not_bent(path, value, told):
    refused(changed(path, value), told.replace("[", r"\["))


def test_a_whole_number_is_a_float_and_null_is_none():
    config = from_data(ModelConfig, changed("mel.fmin", 3))
    assert config.mel.fmin == 3.0
    assert isinstance(config.mel.fmin, float)
    assert config.mel.fmax is None
    assert from_data(ModelConfig, changed("mel.fmax", 8000)).mel.fmax == 8000.0


@pytest.mark.parametrize(
    ("kind", "name", "change", "told"),
    [
        (GPTConfig, "gpt", {"heads": 5}, "gpt.width 64 is not a multiple of gpt.heads 5"),
        (GPTConfig, "gpt", {"layers": 0}, "gpt.layers must be positive, got 0"),
        (
            GPTConfig,
            "gpt",
            {"stop_code": 66},
            "gpt.stop_code 66 is not below gpt.code_vocabulary 66",
        ),
        (VocoderConfig, "vocoder", {"kernels": [8]}, "vocoder.rates and vocoder.kernels differ"),
        (
            VocoderConfig,
            "vocoder",
            {"channels": 63},
            "vocoder.channels 63 cannot be halved 6 times",
        ),
        (
            GPTConfig,
            "gpt",
            {"start_text": 961},
            "gpt.start_text 961 is not below gpt.text_vocabulary 961",
        ),
        (GPTConfig, "gpt", {"stop_text": -1}, "gpt.stop_text -1 is not below"),
        (GPTConfig, "gpt", {"speed_rows": 1}, "gpt.speed_rows must be 2 or more, got 1"),
        (GPTConfig, "gpt", {"text_positions": 0}, "gpt.text_positions must be positive"),
        (GPTConfig, "gpt", {"code_positions": 0}, "gpt.code_positions must be positive"),
        (BucketConfig, "buckets", {"text": [64, 32]}, "buckets.text must ascend"),
        (BucketConfig, "buckets", {"text": []}, "buckets.text must ascend"),
    ],
)
def test_sizes_that_cannot_be_are_refused(kind, name, change, told):
    with pytest.raises(ConfigError, match=told):
        from_data(kind, tiny().get(name, {}) | change, name)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "semantic_codec.width",
            33,
            "semantic_encoder.width is 32, but semantic_codec.width is 33",
        ),
        ("length_regulator.latents", 65, "gpt.width is 64, but length_regulator.latents is 65"),
        ("dit.condition", 49, "length_regulator.width is 48, but dit.condition is 49"),
        ("vocoder.rates", [4, 4, 2, 2, 2, 4], "mel.hop is 256, but vocoder.hop is 512"),
        ("emotion_prototypes.groups", [2, 3], "emotion_prototypes.groups has 2 groups, expected 8"),
    ],
)
def test_components_that_do_not_fit_name_both_sides(path, value, told):
    refused(changed(path, value), told)


def test_all_misfits_are_reported_at_once():
    data = changed("dit.condition", 49)
    data["mel"]["hop"] = 255
    data["semantic_codec"]["codes"] = 63
    refused(data, r"dit\.condition is 49.*; mel\.hop is 255.*; gpt\.code_vocabulary holds")


def test_files_are_read_and_named_in_errors(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tiny()))
    assert load_config(path) == bundled_config("tiny")
    for text, told in [
        ("a: [", "is not valid YAML"),
        ("a: 1", "unknown key a; missing key version"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=told) as caught:
            load_config(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_bad_configuration_is_bad_input():
    assert issubclass(ConfigError, InputError)


def test_a_size_of_400_digits_is_refused_in_one_line(tmp_path: Path) -> None:
    text = (ROOT / "configs" / "tiny.yaml").read_text("utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("code_positions: ", f"code_positions: 1{'0' * 400} # "), "utf-8")
    with pytest.raises(ConfigError, match=r"gpt\.code_positions is beyond 1e300: expected at most"):
        load_config(path)


def test_a_vocabulary_of_a_damaged_size_costs_no_memory() -> None:
    data = to_data(bundled_config("tiny"))
    data["gpt"]["code_vocabulary"] = 10**12
    with pytest.raises(ConfigError, match=r"gpt\.code_vocabulary holds the code 999999999999"):
        from_data(ModelConfig, data)
