"""The published config.yaml, strictly; the models' own config.json."""

import dataclasses

import pytest
import support
import yaml

from importers.formats.tensors import SourceError
from importers.release.settings import MAX_BYTES, Published, read_published, read_settings
from indextts_jax.config import MelConfig, bundled_config
from indextts_jax.utils.strict_data import ConfigError, to_data


def tiny():
    return yaml.safe_load((support.CHECKPOINTS / "config.yaml").read_text())


def write(tmp_path, data):
    path = tmp_path / "config.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    return path


def refused(path, match, error=ConfigError, **options):
    with pytest.raises(error, match=match) as caught:
        read_published(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def leaves(data, prefix=""):
    paths = []
    for key, value in data.items():
        paths += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return paths


def change(data, path, value=None):
    """Sets a leaf, or removes it if no value is given."""
    *parents, last = path.split(".")
    for key in parents:
        data = data[key]
    if value is None:
        del data[last]
    else:
        data[last] = value


def test_every_key_of_the_file_is_read_with_its_value():
    published, passed = read_published(support.CHECKPOINTS / "config.yaml")
    data = to_data(published)
    assert data["gpt"].pop("max_conditioning_inputs") == 1
    assert data == tiny()
    assert passed == ()


@pytest.mark.parametrize("path", leaves(tiny()))
def test_a_missing_key_is_named(tmp_path, path):
    data = tiny()
    change(data, path)
    refused(write(tmp_path, data), rf"missing key {path}$")


@pytest.mark.parametrize("path", leaves(tiny()))
def test_an_ill_typed_key_is_named(tmp_path, path):
    data = tiny()
    change(data, path, {"a": 1})
    published = write(tmp_path, data)
    if path.endswith("fmax"):  # any value passes here, and `mel` refuses it
        with pytest.raises(ConfigError, match="fmax"):
            read_published(published)[0].mel()
    else:
        refused(published, rf": {path}: expected [\w ]+, got dict")


def test_typo_is_reported_as_unknown_and_missing(tmp_path):
    text = (support.CHECKPOINTS / "config.yaml").read_text().replace("model_dim", "model_dmi")
    refused(write(tmp_path, text), r"unknown key gpt\.model_dmi; missing key gpt\.model_dim")


@pytest.mark.parametrize(
    ("value", "named"), [(True, "bool True"), ("20", "str '20'"), (20.5, "float")]
)
def test_an_integer_is_an_integer(tmp_path, value, named):
    data = tiny()
    change(data, "gpt.heads", value)
    refused(write(tmp_path, data), f"gpt.heads: expected int, got {named}")


def test_an_unknown_key_can_be_ignored_by_its_exact_name(tmp_path):
    data = tiny() | {"extra": {"a": 1}}
    data["gpt"]["new"] = 3
    path = write(tmp_path, data)
    published, passed = read_published(path, ignore=["gpt.new", "extra", "gpt.other", "mel.weight"])
    assert published.gpt.heads == 4
    assert passed == ("gpt.new", "extra")
    refused(path, "unknown key gpt.new", ignore=["extra", "gpt.*", "new"])


def test_a_needed_key_cannot_be_ignored(tmp_path):
    refused(write(tmp_path, tiny()), "missing key gpt.heads", ignore=["gpt.heads"])


def test_the_mel_in_our_terms():
    published, _ = read_published(support.CHECKPOINTS / "config.yaml")
    assert published.mel() == bundled_config("tiny").mel
    assert isinstance(published.mel(), MelConfig)


def with_fmax(value):
    published, _ = read_published(support.CHECKPOINTS / "config.yaml")
    spectrogram = dataclasses.replace(published.s2mel.preprocess_params.spect_params, fmax=value)
    preprocess = dataclasses.replace(published.s2mel.preprocess_params, spect_params=spectrogram)
    return dataclasses.replace(
        published, s2mel=dataclasses.replace(published.s2mel, preprocess_params=preprocess)
    )


def test_upper_limit_is_read_as_by_the_reference():
    assert with_fmax("None").mel().fmax is None
    assert with_fmax(8000).mel().fmax == 8000.0


@pytest.mark.parametrize("value", [None, 11025, "8000", "none"])
def test_upper_limit_misread_by_the_reference_is_rejected(value):
    with pytest.raises(ConfigError, match="fmax must be the text None"):
        with_fmax(value).mel()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: [", "not valid YAML"),
        ("a: &x [1]\nb: *x", "an alias"),
        ("a: 1\na: 2", "key a twice"),
        ("gpt:\n  heads: 1\n  heads: 1", "key heads twice"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("a: 2024-99-99", "not valid YAML"),
        ("a: !!map [1]", "not valid YAML"),
    ],
)
def test_invalid_yaml_is_rejected(tmp_path, text, match):
    refused(write(tmp_path, text), match, SourceError)


@pytest.mark.parametrize("text", ["3", "[1, 2]", "word"])
def test_non_mapping_is_rejected(tmp_path, text):
    refused(write(tmp_path, text), "expected a mapping")


def test_non_text_is_rejected(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    refused(path, "not UTF-8", SourceError)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    refused(path, "too many for a settings file", SourceError)


def test_settings_are_a_mapping(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": {"b": 1}}')
    assert read_settings(path) == ({"a": {"b": 1}}, ())
    for text, match in [
        ("[1]", "a mapping, got list"),
        ("{", "not valid JSON"),
        ("[" * 99999, "not valid"),
        ('{"a": 1, "a": 2}', "a name occurs twice"),
    ]:
        path.write_text(text)
        with pytest.raises(SourceError, match=match):
            read_settings(path)


def test_settings_can_be_ignored_by_prefix_and_name(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": {"b": 1}, "c": 2, "d": 3}')
    names = ("model.c", "model.a.b", "model.x", "d", "other.d")
    assert read_settings(path, "model.", names) == ({"a": {}, "d": 3}, ("model.c", "model.a.b"))


@pytest.mark.parametrize("text", ["1e-1", "1E-1", "+1e-1", "0.1", "1.0e-1"])
def test_numbers_may_be_written_with_an_exponent_alone(tmp_path, text):
    data = tiny()
    change(data, "s2mel.wavenet.p_dropout", "NUMBER")
    path = write(tmp_path, yaml.safe_dump(data).replace("NUMBER", text))
    assert read_published(path)[0].s2mel.wavenet.p_dropout == 0.1


def test_the_version_may_be_a_word(tmp_path):
    assert read_published(write(tmp_path, tiny() | {"version": "2.0"}))[0].version == "2.0"


def test_the_real_configuration_is_read():
    published, _ = read_published(support.real("config.yaml"))
    assert isinstance(published, Published)
    assert published.gpt.model_dim == 1280
    assert sum(published.emo_num) == 73
    assert published.mel() == bundled_config("indextts2").mel
